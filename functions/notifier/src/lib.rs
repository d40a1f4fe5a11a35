//! The way back: tells customers how their tasks ended, and how far they are where that is wanted.
//!
//! A message on the callbacks queue names a task. One delivery of it goes through these steps, a file each: `due` finds out
//! whether there is still something to tell, `endpoints` whether its receiver is called now, with the help of `turns`;
//! `letter` makes the body, `tell` signs and posts it, `log` keeps what came of it for the customer, and `settle` notes it
//! in the table and gives the lease up, always last. `run` keeps many deliveries in hand; the program in `bin` does the
//! same as a Lambda function.

mod due;
mod endpoints;
mod letter;
mod log;
mod run;
mod settings;
mod settle;
mod tell;
mod turns;

use std::time::Duration;

use quire_callback::Schedule;
use quire_egress::Client;
use quire_platform::{Backend, Delivery, Lease, Result, now};
use quire_tasks::CallbackMessage;
use quire_tenants::Signing;

pub use settings::schedule;

use crate::{
    due::{Call, Due},
    endpoints::Endpoints,
    letter::Desk,
    settle::Attempt,
    tell::Step,
};

/// What a receiver has for its answer, from the look-up of its name on.
const TIME_LIMIT: Duration = Duration::from_secs(15);
/// So long after a task's end its callback waits for an endpoint that is left alone without spending attempts.
const PATIENCE: Duration = Duration::from_hours(1);

/// Delivers callbacks.
#[derive(Debug)]
pub struct Notifier {
    backend: Backend,
    egress: Client,
    signing: Signing,
    schedule: Schedule,
    time_limit: Duration,
    patience: Duration,
    endpoints: Endpoints,
    desk: Desk,
}

impl Notifier {
    /// A notifier that signs with each tenant's secrets and tries again by `schedule`.
    pub fn new(backend: Backend, egress: Client, signing: Signing, schedule: Schedule) -> Self {
        let (time_limit, patience) = (TIME_LIMIT, PATIENCE);
        let (endpoints, desk) = (Endpoints::new(backend.clone()), Desk::default());
        Self { backend, egress, signing, schedule, time_limit, patience, endpoints, desk }
    }

    /// With another time limit for a receiver's answer than 15 seconds.
    #[must_use]
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// With another time after a task's end than an hour, in which its callback waits for an endpoint that is left alone
    /// without spending attempts.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
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
        match due::look(&self.backend, &message, now()).await? {
            Due::Call(call) => self.make(&call, receives, &message, lease).await,
            Due::Nothing => lease.acknowledge().await,
            // Given up, but not yet with the dead letters: whoever did it was interrupted.
            Due::GivenUp { reason } => lease.dead_letter(&reason).await,
        }
    }

    async fn make(&self, call: &Call, receives: u32, message: &CallbackMessage, lease: Lease) -> Result<()> {
        let told = match self.tell(call).await? {
            Step::Told(told) => told,
            Step::PutOff { .. } if call.is_progress() => return lease.acknowledge().await,
            Step::PutOff { after } => return lease.requeue(after).await,
        };
        let ending = self.ending(call, receives, &told);
        let attempt = Attempt { call, told, ending };
        attempt.log();
        log::keep(&self.backend, &call.task, &attempt.record()).await;
        attempt.settle(&self.backend, message, lease).await
    }
}
