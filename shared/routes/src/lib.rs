//! Which engine reads a page: the operator's configuration, circuit breakers and canaries.
//!
//! [`Config`] names the engines and, for each mode, a route through them. The API [assigns](Config::assign) a task to an
//! engine once; a worker [plans](Config::plan) each page of the task by that. Each worker has a [`Breaker`] for every engine
//! and reports its state with the engine's statistics ([`quire_tasks::EngineReport`]); canaries are judged by the sum of
//! all reports ([`CanaryLimits::verdict`]). Pure: no I/O and no clock; time is passed in.
#![warn(missing_docs)]

mod assign;
mod breaker;
mod canary;
mod config;

pub use assign::{NotOffered, Plan, WaitingReason};
pub use breaker::{Breaker, BreakerSettings, Permit, Ticket};
pub use canary::CanaryLimits;
pub use config::{Canary, Config, Dialect, EngineEntry, HunyuanEntry, InvalidConfig, Kind, OpenAiEntry, Route};
