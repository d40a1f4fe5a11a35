//! The notifier as a Lambda function, behind the callbacks queue.

use std::{convert::Infallible, process::ExitCode, sync::Arc};

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{LambdaEvent, service_fn};
use quire_boot::env;
use quire_egress::{Client, Policy};
use quire_notifier::{Notifier, schedule};
use quire_platform::{Aws, QueueName};
use quire_tenants::Signing;

fn main() -> ExitCode {
    quire_boot::run(serve())
}

async fn serve() -> anyhow::Result<()> {
    let aws = Aws::from_env().await?;
    let home = aws.home();
    let egress = Client::new(Policy { allow_loopback_http: env::switch("QUIRE_DEV")? })?;
    let signing = Signing::load(&home).await?;
    let notifier = Arc::new(Notifier::new(home, egress, signing, schedule()?));
    notifier.check_schedule()?;
    let deliver = async |LambdaEvent { payload, context }: LambdaEvent<SqsEvent>| {
        let mut handed = aws.handed(QueueName::Callbacks, payload);
        notifier.deliver_all(handed.deliveries(), quire_boot::time_left(context.deadline)).await;
        Ok::<_, Infallible>(handed.response().await)
    };
    lambda_runtime::run(service_fn(deliver)).await.map_err(anyhow::Error::from_boxed)
}
