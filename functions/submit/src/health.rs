//! The health of the system, as whoever runs it knows it.

use std::fmt::Debug;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::{Map, Value};

/// How the rest of the system is: whoever runs it knows its workers and queues, the door does not.
#[async_trait]
pub trait Health: Debug + Send + Sync {
    /// How it is now.
    async fn health(&self) -> HealthReport;
}

/// An answer to `GET /healthz`: `200` or `503`, with the details.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HealthReport {
    /// Whether new work is read.
    pub ok: bool,
    /// What there is to know, as members of the answer.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}
