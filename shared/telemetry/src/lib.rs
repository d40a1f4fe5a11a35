//! Startup and shutdown of every function: configuration, tracing, metrics, deadlines, graceful shutdown.
#![warn(missing_docs)]

mod deadline;
pub mod env;
mod machine;
pub mod metrics;
#[cfg(feature = "subscriber")]
mod run;
mod shutdown;
pub mod terminal;
#[cfg(feature = "subscriber")]
mod trace;

pub use deadline::{finish_within, time_left};
pub use machine::{panic_message, processors};
#[cfg(feature = "subscriber")]
pub use run::run;
pub use shutdown::stop_signal;
#[cfg(feature = "subscriber")]
pub use trace::{LogFormat, start_tracing};
