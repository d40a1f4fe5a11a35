//! The backend made of S3, SQS, DynamoDB and Secrets Manager.
//!
//! The SDK's own retries are off: whoever calls a backend waits throttling out by [`quire_platform::retry_with_backoff`], with one policy for
//! both backends, and two on top of each other would multiply. What is retried in here are collisions of a moment, and
//! entries of a batch that failed alone.

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

use dynamo::Dynamo;
pub use lambda_batch::LambdaBatch;
use leases::Leases;
use objects::S3Objects;
use queue::SqsQueue;
use records::DynamoShelves;
use secrets::ManagedSecrets;
pub use settings::AwsSettings;
use table::DynamoTable;

/// A connection that takes longer is tried again.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// An answer that begins later is not waited for: more than the 20 s of a long poll, and than a part of an upload takes.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);

/// The backend on AWS, or on something that stands in for it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Aws {
    backend: Backend,
}

impl Aws {
    /// The backend that the environment names: see [`AwsSettings::from_env`].
    ///
    /// # Errors
    /// [`quire_platform::Error::Failed`] where a setting is missing or makes no sense, or there is no folder for temporary files.
    pub async fn from_env() -> Result<Self> {
        Self::connect(AwsSettings::from_env()?).await
    }

    /// The backend that the settings name. Nothing is asked of AWS yet.
    ///
    /// # Errors
    /// [`quire_platform::Error::Failed`] where there is no folder for temporary files.
    pub async fn connect(settings: AwsSettings) -> Result<Self> {
        Self::connect_with(settings, QueueName::settings).await
    }

    /// As [`Aws::connect`], with other settings of the queues.
    ///
    /// # Errors
    /// As [`Aws::connect`].
    pub async fn connect_with(
        settings: AwsSettings,
        queue_settings: impl Fn(QueueName) -> QueueSettings,
    ) -> Result<Self> {
        let config = config(&settings).await;
        let objects = S3Objects::new(s3(&config), settings.bucket, settings.cache_bytes)?;
        let dynamo = Dynamo::new(aws_sdk_dynamodb::Client::new(&config), settings.table);
        let records = Arc::new(DynamoShelves::new(dynamo.clone()));
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

    /// Its parts.
    pub fn backend(&self) -> Backend {
        self.backend.clone()
    }

    /// What Lambda hands a function of a queue.
    pub fn lambda_batch(&self, name: QueueName, event: SqsEvent) -> LambdaBatch {
        LambdaBatch::new(self.backend.queue(name), event)
    }

    /// Makes the bucket, the table, the queues and the secret, for an emulator and for tests. What is there already stays.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`].
    pub async fn provision(settings: &AwsSettings) -> Result<()> {
        Self::provision_with(settings, QueueName::declared_settings).await
    }

    /// As [`Aws::provision`], with other settings of the queues.
    ///
    /// # Errors
    /// As [`Aws::provision`].
    pub async fn provision_with(
        settings: &AwsSettings,
        queue_settings: impl Fn(QueueName) -> QueueSettings,
    ) -> Result<()> {
        let config = config(settings).await;
        provision::bucket(&s3(&config), &settings.bucket, config.region()).await?;
        provision::table(&aws_sdk_dynamodb::Client::new(&config), &settings.table).await?;
        if let Some(secret) = &settings.webhook_secret {
            provision::secret(&aws_sdk_secretsmanager::Client::new(&config), secret).await?;
        }
        let sqs = aws_sdk_sqs::Client::new(&config);
        // Dead-letter queues first: the others name them.
        let (others, dead): (Vec<_>, Vec<_>) =
            QueueName::ALL.into_iter().partition(|name| name.dead_letter_queue().is_some());
        for name in dead.into_iter().chain(others) {
            provision::queue(&sqs, &settings.queue_prefix, name, queue_settings(name)).await?;
        }
        Ok(())
    }
}

/// Region, credentials and endpoint as the SDK finds them, unless an emulator is named.
async fn config(settings: &AwsSettings) -> SdkConfig {
    let https = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_LIMIT).read_timeout(ANSWER_LIMIT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(https)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(emulator) = &settings.emulator {
        let anybody = Credentials::new("test", "test", None, None, "emulator");
        loader = loader
            .endpoint_url(emulator)
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(anybody));
    }
    loader.load().await
}

/// An endpoint of its own has no name for each bucket: there the bucket stands in the path.
fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let own_endpoint = config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
    let config = aws_sdk_s3::config::Builder::from(config).force_path_style(own_endpoint).build();
    aws_sdk_s3::Client::from_conf(config)
}
