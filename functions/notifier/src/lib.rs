//! Delivers callbacks (webhooks) for ended tasks, and progress events if requested.
//!
//! A message on the callbacks queue names a task. Its delivery has these steps, one module each: `schedule` decides
//! whether a callback is due; `endpoints` grants a permit for the receiver, with the waits of `endpoint_backoff`;
//! `payload` builds the body; `deliver` signs and posts it; `attempt_log` appends the attempt to the customer's
//! delivery log; `record_attempt` updates the task table and acknowledges or releases the message, always last. `run`
//! keeps several deliveries in flight; the binary in `bin` is the same as a Lambda function.

mod attempt_log;
mod deliver;
mod endpoint_backoff;
mod endpoints;
mod payload;
mod record_attempt;
mod run;
mod schedule;
mod settings;
mod tracked_endpoint;

use std::time::Duration;

use quire_callback::Schedule;
use quire_egress::Client;
use quire_platform::{Backend, Delivery, Lease, Result, now};
use quire_tasks::CallbackMessage;
use quire_tenants::Signing;

pub use settings::schedule_from_env;

use crate::{
    deliver::DeliveryStep,
    endpoints::EndpointRegistry,
    payload::PayloadBuilder,
    record_attempt::CompletedAttempt,
    schedule::{CallbackRequest, ScheduledDelivery, schedule_delivery},
};

/// Timeout for a receiver's response, including the DNS lookup.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long after a task's end its callback waits for a failing endpoint without spending attempts.
const BACKOFF_GRACE: Duration = Duration::from_hours(1);

/// Delivers callbacks.
#[derive(Debug)]
pub struct Notifier {
    backend: Backend,
    egress: Client,
    signing: Signing,
    schedule: Schedule,
    response_timeout: Duration,
    backoff_grace: Duration,
    endpoints: EndpointRegistry,
    payloads: PayloadBuilder,
}

impl Notifier {
    /// Returns a notifier that signs with each tenant's secrets and retries by `schedule`.
    pub fn new(backend: Backend, egress: Client, signing: Signing, schedule: Schedule) -> Self {
        Self {
            endpoints: EndpointRegistry::new(backend.clone()),
            backend,
            egress,
            signing,
            schedule,
            response_timeout: RESPONSE_TIMEOUT,
            backoff_grace: BACKOFF_GRACE,
            payloads: PayloadBuilder::default(),
        }
    }

    /// Sets the timeout for a receiver's response. Default: 15 seconds.
    #[must_use]
    pub fn with_response_timeout(self, response_timeout: Duration) -> Self {
        Self { response_timeout, ..self }
    }

    /// Sets how long after a task's end its callback waits for a failing endpoint without spending attempts. Default:
    /// one hour.
    #[must_use]
    pub fn with_backoff_grace(self, backoff_grace: Duration) -> Self {
        Self { backoff_grace, ..self }
    }

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
        attempt_log::append_attempt(&self.backend, &request.task, &attempt.to_record()).await;
        attempt.finish(&self.backend, message, lease).await
    }
}
