//! The way back: tells customers how their tasks ended.
//!
//! A message on the callbacks queue names a task that has ended. One delivery of it goes through these steps, a file
//! each: `due` finds out whether there is still something to tell and makes the body, `tell` signs and posts it,
//! and `settle` notes what came of it and gives the lease up, always last. `run` keeps many deliveries in hand; the
//! program in `bin` does the same as a Lambda function.

mod due;
mod run;
mod settle;
mod tell;

use std::time::{Duration, Instant};

pub use run::secrets;

use quire_callback::{Schedule, Secrets};
use quire_egress::Client;
use quire_platform::{Delivery, Home, Result};
use quire_tasks::CallbackMessage;

use crate::due::Due;

/// What a receiver has for its answer, from the look-up of its name on.
const TIME_LIMIT: Duration = Duration::from_secs(15);

/// Delivers callbacks.
#[derive(Debug)]
pub struct Notifier {
    home: Home,
    egress: Client,
    secrets: Secrets,
    schedule: Schedule,
    time_limit: Duration,
}

impl Notifier {
    /// A notifier that signs with `secrets` and tries again by `schedule`.
    pub fn new(home: Home, egress: Client, secrets: Secrets, schedule: Schedule) -> Self {
        Self { home, egress, secrets, schedule, time_limit: TIME_LIMIT }
    }

    /// With another time limit for a receiver's answer than 15 seconds.
    #[must_use]
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// Takes one delivery to its end: told, to be told again, or given up.
    ///
    /// # Errors
    /// Of the home, after waiting them out in vain. The message is then received again.
    pub async fn deliver(&self, delivery: Delivery<CallbackMessage>) -> Result<()> {
        let Delivery { message, attempt, lease, .. } = delivery;
        let letter = match due::load(&self.home, &message).await? {
            Due::Letter(letter) => letter,
            Due::Nothing => return lease.acknowledge().await,
            // Given up, but not yet with the dead letters: whoever did it was interrupted.
            Due::GivenUp { reason } => return lease.dead_letter(&reason).await,
        };
        let started = Instant::now();
        let ending = self.ending(attempt, self.tell(&letter).await);
        ending.log(&letter, attempt, started.elapsed());
        ending.settle(&self.home, &message, lease).await
    }
}
