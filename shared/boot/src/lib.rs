//! How every function starts and stops: configuration from the environment, tracing, shutdown.
#![warn(missing_docs)]

pub mod env;
mod shutdown;
mod trace;

pub use shutdown::stop_signal;
pub use trace::{LogFormat, start_tracing};
