//! The health check behind `GET /healthz`.

use std::fmt::Debug;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::{Map, Value};

/// Checks the health of the whole deployment. The API does not know its workers and queues, so that the program that
/// runs it implements this.
#[async_trait]
pub trait Health: Debug + Send + Sync {
    /// Returns the health now.
    async fn health(&self) -> HealthReport;
}

/// The response to `GET /healthz`: `200` or `503`, with details.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HealthReport {
    /// Whether new pages are read.
    pub ok: bool,
    /// Further members of the response.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}
