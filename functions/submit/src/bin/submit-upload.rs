//! The upload trigger as a Lambda function, invoked by S3 events of the bucket.

use std::{process::ExitCode, sync::Arc};

use lambda_runtime::{LambdaEvent, service_fn};
use quire_platform_aws::Aws;
use quire_routes::Config;
use quire_submit::{UploadEvent, handle_upload_event, lambda};
use quire_telemetry::env;

const CALLBACK_URL: &str = "QUIRE_INBOX_CALLBACK_URL";

fn main() -> ExitCode {
    quire_telemetry::run(serve())
}

async fn serve() -> anyhow::Result<()> {
    let backend = Aws::from_env().await?.backend();
    let routes = Arc::new(Config::from_env()?);
    let callback_url = env::text(CALLBACK_URL)?;
    if let Some(url) = &callback_url {
        lambda::egress()?.check(url).map_err(|why| anyhow::anyhow!("{CALLBACK_URL} is not allowed: {why}"))?;
    }
    let handle = async |LambdaEvent { payload, .. }: LambdaEvent<UploadEvent>| {
        handle_upload_event(&backend, &routes, payload, callback_url.as_deref()).await
    };
    lambda_runtime::run(service_fn(handle)).await.map_err(anyhow::Error::from_boxed)
}
