//! The way back: tells customers how their tasks ended, and how far they are where that is wanted.
//!
//! A message on the callbacks queue names a task. One delivery of it goes through these steps, a file each: `due` finds out
//! whether there is still something to tell, `endpoints` whether its receiver is called now, with the help of `turns`;
//! `letter` makes the body, `tell` signs and posts it, `log` keeps what came of it for the customer, and `settle` notes it
//! in the table and gives the lease up, always last. `run` keeps many deliveries in hand; the program in `bin` does the
//! same as a Lambda function.

mod attempt_log;
mod deliver;
mod endpoint_backoff;
mod endpoints;
mod payload;
mod record_attempt;
mod run;
mod schedule;
mod settings;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quire_callback::Schedule;
use quire_egress::Client;
use quire_platform::{Backend, Delivery, Lease, Result};
use quire_tasks::{CallbackMessage, UnixMillis};
use quire_tenants::Signing;

pub use settings::schedule_from_env;

use crate::{
    deliver::DeliveryStep,
    endpoints::EndpointRegistry,
    payload::PayloadBuilder,
    record_attempt::CompletedAttempt,
    schedule::{CallbackRequest, ScheduledDelivery, schedule_delivery},
};

/// What a receiver has for its answer, from the look-up of its name on.
const TIME_LIMIT: Duration = Duration::from_secs(15);
/// So long after a task's end its callback waits for an endpoint that is left alone without spending attempts.
const BACKOFF_GRACE: Duration = Duration::from_hours(1);

/// Delivers callbacks.
#[derive(Debug)]
pub struct Notifier {
    backend: Backend,
    egress: Client,
    signing: Signing,
    schedule: Schedule,
    time_limit: Duration,
    backoff_grace: Duration,
    endpoints: EndpointRegistry,
    payloads: PayloadBuilder,
}

impl Notifier {
    /// A notifier that signs with each tenant's secrets and tries again by `schedule`.
    pub fn new(backend: Backend, egress: Client, signing: Signing, schedule: Schedule) -> Self {
        let (time_limit, backoff_grace) = (TIME_LIMIT, BACKOFF_GRACE);
        let (endpoints, payloads) = (EndpointRegistry::new(backend.clone()), PayloadBuilder::default());
        Self { backend, egress, signing, schedule, time_limit, backoff_grace, endpoints, payloads }
    }

    /// With another time limit for a receiver's answer than 15 seconds.
    #[must_use]
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// With another time after a task's end than an hour, in which its callback waits for an endpoint that is left alone
    /// without spending attempts.
    #[must_use]
    pub fn backoff_grace(self, backoff_grace: Duration) -> Self {
        Self { backoff_grace, ..self }
    }

    /// Takes one delivery to its end: told, to be told again, or given up.
    ///
    /// # Errors
    /// Of the backend, after waiting them out in vain. The message is then received again.
    pub async fn deliver(&self, delivery: Delivery<CallbackMessage>) -> Result<()> {
        let Delivery { message, attempt: receives, lease, .. } = delivery;
        if message.progress.is_some() && receives > 1 {
            // Whoever received it first was interrupted. What it would say is old by now.
            return lease.acknowledge().await;
        }
        match schedule_delivery(&self.backend, &message, now()).await? {
            ScheduledDelivery::Deliver(request) => self.deliver_request(&request, receives, &message, lease).await,
            ScheduledDelivery::Skip => lease.acknowledge().await,
            // Given up, but not yet with the dead letters: whoever did it was interrupted.
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
            DeliveryStep::Postponed { after } => return lease.send_again(after).await,
        };
        let decision = self.decide(request, receives, &response);
        let attempt = CompletedAttempt { request, response, decision };
        attempt.log();
        attempt_log::append_attempt(&self.backend, &request.task, &attempt.to_record()).await;
        attempt.finish(&self.backend, message, lease).await
    }
}

/// The time, by this machine.
fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(since.as_millis() as i64)
}
