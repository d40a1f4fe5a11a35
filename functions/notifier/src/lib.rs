//! Delivers callbacks (webhooks) for ended tasks, and progress events if requested.
//!
//! A message on the callbacks queue names a task. `handle_message` takes it through these steps, one module each:
//! `schedule` decides whether a callback is due; `endpoints` grants a permit for the receiver, with the waits of
//! `endpoint_backoff`; `payload` builds the body; `deliver` signs and posts it; `attempt_log` appends the attempt to
//! the customer's delivery log; `record_attempt` updates the task table and acknowledges or releases the message,
//! always last. `run` keeps several deliveries in flight; the binary in `bin` is the same as a Lambda function.

mod attempt_log;
mod deliver;
mod endpoint_backoff;
mod endpoints;
mod handle_message;
mod notifier;
mod payload;
mod record_attempt;
mod run;
mod schedule;
mod settings;
mod tracked_endpoint;

pub use notifier::Notifier;
pub use settings::schedule_from_env;
