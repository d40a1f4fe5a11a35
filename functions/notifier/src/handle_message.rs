//! Handles one message, step by step.

use quire_platform::{Delivery, Lease, Result, now};
use quire_tasks::CallbackMessage;

use crate::{
    Notifier,
    attempt_log::append_attempt,
    deliver::DeliveryStep,
    record_attempt::CompletedAttempt,
    schedule::{CallbackRequest, ScheduledDelivery, schedule_delivery},
};

impl Notifier {
    /// Handles one message to its end: delivered, scheduled for a retry, or given up.
    ///
    /// # Errors
    /// An error of the backend, after retries. The message is then received again.
    pub async fn deliver(&self, delivery: Delivery<CallbackMessage>) -> Result<()> {
        let Delivery { message, attempt: receives, lease, .. } = delivery;
        if message.progress.is_some() && receives > 1 {
            // A crash interrupted the first delivery. Its progress is out of date by now.
            return lease.acknowledge().await;
        }
        match schedule_delivery(&self.backend, &message, now()).await? {
            ScheduledDelivery::Deliver(request) => self.deliver_request(&request, receives, &message, lease).await,
            ScheduledDelivery::Skip => lease.acknowledge().await,
            // A crash interrupted the move to the dead-letter queue.
            ScheduledDelivery::GivenUp { reason } => lease.dead_letter(&reason).await,
        }
    }

    async fn deliver_request(
        &self,
        request: &CallbackRequest,
        receives: u32,
        message: &CallbackMessage,
        lease: Lease,
    ) -> Result<()> {
        let response = match self.attempt_delivery(request).await? {
            DeliveryStep::Attempted(response) => response,
            DeliveryStep::Postponed { .. } if request.is_progress() => return lease.acknowledge().await,
            DeliveryStep::Postponed { after } => return lease.requeue(after).await,
        };
        let decision = self.decide(request, receives, &response);
        let attempt = CompletedAttempt { request, response, decision };
        attempt.log();
        append_attempt(&self.backend, &request.task, &attempt.to_record()).await;
        attempt.finish(&self.backend, message, lease).await
    }
}
