//! Ingest as a Lambda function: a consumer of the documents queue.

use std::{process::ExitCode, sync::Arc};

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{LambdaEvent, service_fn};
use quire_platform::QueueName;
use quire_platform_aws::Aws;
use quire_submit::{ingest_all, lambda};

fn main() -> ExitCode {
    lambda::run_if_child().unwrap_or_else(|| quire_telemetry::run(serve()))
}

async fn serve() -> anyhow::Result<()> {
    let aws = Aws::from_env().await?;
    let app = Arc::new(lambda::app_state(aws.backend())?);
    let ingest = async |LambdaEvent { payload, context }: LambdaEvent<SqsEvent>| {
        let mut handed = aws.lambda_batch(QueueName::Documents, payload);
        ingest_all(&app, handed.deliveries(), quire_telemetry::time_left(context.deadline)).await;
        Ok::<_, std::convert::Infallible>(handed.response().await)
    };
    lambda_runtime::run(service_fn(ingest)).await.map_err(anyhow::Error::from_boxed)
}
