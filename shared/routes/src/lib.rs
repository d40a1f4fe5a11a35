//! Which engine reads a page: the operator's configuration, circuit breakers, canaries, and the board.
//!
//! [`Config`] names the engines and, for each mode, a route through them. The door [assigns](Config::assign) a task to an
//! engine once; a worker [plans](Config::plan) each of its pages by that. Each worker has a [`Breaker`] and keeps [`EngineStats`]
//! for every engine, and reports both on the [`EngineStatuses`]: there the door, the operator and the canary's judge
//! ([`CanaryLimits::verdict`]) read them, and there an operator pauses an engine. All but the board is pure: no I/O,
//! no clock.
#![warn(missing_docs)]

mod assign;
mod board;
mod breaker;
mod canary;
mod config;
mod stats;

pub use assign::{NotOffered, Plan, WaitingReason};
pub use board::{
    EngineControl, EngineReport, EngineStatuses, OperatorNote, drop_out, pause, probe, reinstate, report, resume,
    roll_back,
};
pub use breaker::{Breaker, BreakerSettings, Permit, State, Ticket};
pub use canary::CanaryLimits;
pub use config::{Canary, Config, Dialect, EngineEntry, HunyuanEntry, InvalidConfig, Kind, OpenAiEntry, Route};
pub use stats::EngineStats;
