//! The notifier as a Lambda function, triggered by the callbacks queue.

use std::{convert::Infallible, process::ExitCode, sync::Arc};

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{LambdaEvent, service_fn};
use quire_egress::{Client, EgressOptions};
use quire_notifier::{Notifier, schedule_from_env};
use quire_platform::QueueName;
use quire_platform_aws::Aws;
use quire_tenants::Signing;

fn main() -> ExitCode {
    quire_telemetry::run(serve())
}

async fn serve() -> anyhow::Result<()> {
    let aws = Aws::from_env().await?;
    let backend = aws.backend();
    let egress = Client::with_options(EgressOptions::from_env(false)?)?;
    let signing = Signing::load(&backend).await?;
    let notifier = Arc::new(Notifier::new(backend, egress, signing, schedule_from_env()?));
    notifier.check_schedule()?;
    let deliver = async |LambdaEvent { payload, context }: LambdaEvent<SqsEvent>| {
        let mut handed = aws.lambda_batch(QueueName::Callbacks, payload);
        notifier.deliver_all(handed.deliveries(), quire_telemetry::time_left(context.deadline)).await;
        Ok::<_, Infallible>(handed.response().await)
    };
    lambda_runtime::run(service_fn(deliver)).await.map_err(anyhow::Error::from_boxed)
}
