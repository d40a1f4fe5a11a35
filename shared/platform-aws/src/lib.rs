//! The AWS backend: S3, SQS, `DynamoDB` and Secrets Manager.
//!
//! The retries of the AWS SDK are disabled: code that calls a backend retries transient errors with
//! [`quire_platform::retry_with_backoff`], with one policy for both backends, and nested retries would multiply. This
//! crate retries only write conflicts, which last milliseconds, and failed entries of a batch.

mod batcher;
mod batches;
mod disk_cache;
mod dynamo;
mod erase;
mod fault;
mod indexes;
mod items;
mod lambda_batch;
mod leases;
mod message;
mod objects;
mod provision;
mod queue;
mod records;
mod reopen;
mod reopen_markers;
mod scale_in_protection;
mod secrets;
mod settings;
mod table;

use std::{sync::Arc, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_lambda_events::sqs::SqsEvent;
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use quire_platform::{Backend, QueueName, QueueSettings, Result};

use dynamo::DynamoClient;
pub use lambda_batch::LambdaBatch;
use leases::Leases;
use objects::S3Objects;
use queue::SqsQueue;
use records::DynamoRecords;
use secrets::ManagedSecrets;
pub use settings::AwsSettings;
use table::DynamoTable;

/// The connect timeout.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The read timeout: longer than a long poll of 20 s, and than uploading one part.
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// The AWS backend, on AWS or on an emulator. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Aws {
    backend: Backend,
}

impl Aws {
    /// Connects to the backend that the environment names ([`AwsSettings::from_env`]).
    ///
    /// # Errors
    /// [`quire_platform::Error::Failed`] if a setting is missing or invalid, or no temporary folder can be created.
    pub async fn from_env() -> Result<Self> {
        Self::connect(AwsSettings::from_env()?).await
    }

    /// Connects to the backend that the settings name. Sends no request yet.
    ///
    /// # Errors
    /// [`quire_platform::Error::Failed`] if no temporary folder can be created.
    pub async fn connect(settings: AwsSettings) -> Result<Self> {
        Self::connect_with(settings, QueueName::settings).await
    }

    /// As [`Aws::connect`], with other queue settings.
    ///
    /// # Errors
    /// As [`Aws::connect`].
    pub async fn connect_with(
        settings: AwsSettings,
        queue_settings: impl Fn(QueueName) -> QueueSettings,
    ) -> Result<Self> {
        let config = sdk_config(&settings).await;
        let objects = S3Objects::new(s3_client(&config), settings.bucket, settings.cache_bytes)?;
        let dynamo = DynamoClient::new(aws_sdk_dynamodb::Client::new(&config), settings.table);
        let records = Arc::new(DynamoRecords::new(dynamo.clone()));
        let tasks = DynamoTable::new(dynamo);
        let secrets = ManagedSecrets::new(aws_sdk_secretsmanager::Client::new(&config), settings.webhook_secret);
        let sqs = aws_sdk_sqs::Client::new(&config);
        let leases = Arc::new(Leases::default());
        scale_in_protection::watch(&leases);
        let backend = Backend::new(Arc::new(objects), Arc::new(tasks), Arc::new(secrets), records, |name| {
            let terms = (name, queue_settings(name));
            Arc::new(SqsQueue::new(sqs.clone(), &settings.queue_prefix, terms, Arc::clone(&leases)))
        });
        Ok(Self { backend })
    }

    /// Returns the handles to the backend.
    pub fn backend(&self) -> Backend {
        self.backend.clone()
    }

    /// Wraps the messages of a Lambda invocation.
    pub fn lambda_batch(&self, name: QueueName, event: SqsEvent) -> LambdaBatch {
        LambdaBatch::new(self.backend.queue(name), event)
    }

    /// Creates the bucket, the table, the queues and the secret, for emulators and tests. Idempotent.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`].
    pub async fn provision(settings: &AwsSettings) -> Result<()> {
        Self::provision_with(settings, QueueName::declared_settings).await
    }

    /// As [`Aws::provision`], with other queue settings.
    ///
    /// # Errors
    /// As [`Aws::provision`].
    pub async fn provision_with(
        settings: &AwsSettings,
        queue_settings: impl Fn(QueueName) -> QueueSettings,
    ) -> Result<()> {
        let config = sdk_config(settings).await;
        provision::create_bucket(&s3_client(&config), &settings.bucket, config.region()).await?;
        provision::create_table(&aws_sdk_dynamodb::Client::new(&config), &settings.table).await?;
        if let Some(secret) = &settings.webhook_secret {
            provision::create_secret(&aws_sdk_secretsmanager::Client::new(&config), secret).await?;
        }
        let sqs = aws_sdk_sqs::Client::new(&config);
        // Dead-letter queues first, since the redrive policies of the others name them.
        let (others, dead): (Vec<_>, Vec<_>) =
            QueueName::ALL.into_iter().partition(|name| name.dead_letter_queue().is_some());
        for name in dead.into_iter().chain(others) {
            provision::create_queue(&sqs, &settings.queue_prefix, name, queue_settings(name)).await?;
        }
        Ok(())
    }
}

/// Returns the SDK's configuration. Region, credentials and endpoint are the SDK's defaults unless an emulator is set.
async fn sdk_config(settings: &AwsSettings) -> SdkConfig {
    let https = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(https)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(emulator) = &settings.emulator {
        let credentials = Credentials::new("test", "test", None, None, "emulator");
        loader = loader
            .endpoint_url(emulator)
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials));
    }
    loader.load().await
}

/// Uses path-style addresses with a custom endpoint: it has no host name for each bucket.
fn s3_client(config: &SdkConfig) -> aws_sdk_s3::Client {
    let own_endpoint = config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
    let config = aws_sdk_s3::config::Builder::from(config).force_path_style(own_endpoint).build();
    aws_sdk_s3::Client::from_conf(config)
}
