//! The dead-letter function on Lambda, triggered by the three dead-letter queues.

use std::process::ExitCode;

use anyhow::{Context, bail};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{LambdaEvent, service_fn};
use quire_dead_letter::handle_all;
use quire_platform::QueueName;
use quire_platform_aws::Aws;
use quire_tasks::{CallbackMessage, DocumentMessage, PageMessage};

fn main() -> ExitCode {
    quire_telemetry::run(serve())
}

async fn serve() -> anyhow::Result<()> {
    let aws = Aws::from_env().await?;
    let handle = async |event| handle_event(&aws, event).await;
    lambda_runtime::run(service_fn(handle)).await.map_err(anyhow::Error::from_boxed)
}

async fn handle_event(
    aws: &Aws,
    LambdaEvent { payload, context }: LambdaEvent<SqsEvent>,
) -> anyhow::Result<SqsBatchResponse> {
    let queue = queue(&payload)?;
    let backend = aws.backend();
    let limit = quire_telemetry::time_left(context.deadline);
    let mut handed = aws.lambda_batch(queue, payload);
    match queue {
        QueueName::DeadPages => handle_all::<PageMessage>(&backend, handed.deliveries(), limit).await,
        QueueName::DeadDocuments => handle_all::<DocumentMessage>(&backend, handed.deliveries(), limit).await,
        QueueName::DeadCallbacks => handle_all::<CallbackMessage>(&backend, handed.deliveries(), limit).await,
        live => bail!("{} is not a dead-letter queue", live.as_str()),
    }
    Ok(handed.response().await)
}

/// Returns the queue of an event, by the suffix of its ARN. All messages of one event come from the same queue.
fn queue(event: &SqsEvent) -> anyhow::Result<QueueName> {
    let arn = event.records.first().and_then(|message| message.event_source_arn.as_deref()).unwrap_or_default();
    let name = QueueName::ALL.into_iter().find(|name| arn.ends_with(&format!("-{}", name.as_str())));
    name.with_context(|| format!("unknown queue {arn:?}"))
}

#[cfg(test)]
mod tests {
    use aws_lambda_events::sqs::SqsMessage;

    use super::*;

    #[test]
    fn a_queue_is_identified_by_the_suffix_of_its_arn() {
        let from = |arn: &str| {
            let mut message = SqsMessage::default();
            message.event_source_arn = Some(arn.to_owned());
            let mut event = SqsEvent::default();
            event.records.push(message);
            queue(&event).ok()
        };
        assert_eq!(from("arn:aws:sqs:eu-west-1:1:quire-prod-pages-dead"), Some(QueueName::DeadPages));
        assert_eq!(from("arn:aws:sqs:eu-west-1:1:quire-documents-dead"), Some(QueueName::DeadDocuments));
        assert_eq!(from("arn:aws:sqs:eu-west-1:1:quire-callbacks-dead"), Some(QueueName::DeadCallbacks));
        assert_eq!(from("arn:aws:sqs:eu-west-1:1:another"), None);
    }
}
