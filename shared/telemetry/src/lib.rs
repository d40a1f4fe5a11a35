//! How every function starts and stops: configuration from the environment, tracing, metrics, deadlines, shutdown.
#![warn(missing_docs)]

pub mod env;
mod finish;
mod machine;
pub mod metrics;
mod run;
mod shutdown;
mod trace;

pub use finish::{finish_within, time_left};
pub use machine::{panic_message, processors};
pub use run::run;
pub use shutdown::stop_signal;
pub use trace::{LogFormat, start_tracing};
