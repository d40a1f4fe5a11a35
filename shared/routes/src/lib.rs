//! Engine routing: the operator's configuration, circuit breakers, canaries, and the engine status store.
//!
//! [`Config`] names the engines and, for each mode, a route through them. The API [assigns](Config::assign) a task to
//! an engine once; a worker [plans](Config::plan) each of its pages by that. Each worker has a [`Breaker`] and keeps
//! [`EngineStats`] for every engine and reports both to the engine status store, from which [`EngineStatuses`] are
//! read: by the API, by operators, and to judge canaries ([`CanaryLimits::rollback_reason`]). Operators pause engines
//! there. Everything except the status store is pure: no I/O, no clock.
#![warn(missing_docs)]

mod assign;
mod board;
mod breaker;
mod canary;
mod config;
mod stats;

pub use assign::{NotOffered, ReadPlan, WaitingReason};
pub use board::{
    EngineControl, EngineReport, EngineStatuses, OperatorNote, drop_out, pause, probe, reinstate, report, resume,
    roll_back,
};
pub use breaker::{Breaker, BreakerPermit, BreakerSettings, BreakerState, BreakerTicket};
pub use canary::CanaryLimits;
pub use config::{
    Canary, Config, EngineEntry, EngineKind, HunyuanEntry, InvalidConfig, OpenAiDialect, OpenAiEntry, Route,
};
pub use stats::EngineStats;
