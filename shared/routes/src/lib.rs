//! Engine routing: the operator's configuration, circuit breakers and canaries.
//!
//! [`Config`] names the engines and, for each mode, a route through them. The API [assigns](Config::assign) a task to
//! an engine once; a worker [plans](Config::plan) each of its pages by that. Each worker has a [`Breaker`] for every
//! engine and reports its state with the engine's statistics ([`quire_tasks::EngineReport`]); the sum of all reports
//! decides about canaries ([`CanaryLimits::rollback_reason`]). Everything here is pure: no I/O, no clock; the time is
//! passed in.
#![warn(missing_docs)]

mod assign;
mod breaker;
mod canary;
mod config;
mod tier;

pub use assign::{NotOffered, ReadPlan, WaitingReason};
pub use breaker::{Breaker, BreakerPermit, BreakerSettings, BreakerTicket};
pub use canary::CanaryLimits;
pub use config::{
    Canary, Config, EngineEntry, EngineKind, HunyuanEntry, InvalidConfig, OpenAiEntry, PpOcrEntry, Route, ScriptRoute,
    TesseractEntry,
};
pub use tier::{InvalidTier, Tier};
