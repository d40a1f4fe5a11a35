//! `GET /healthz`.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::Door;

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

pub(crate) async fn healthz(State(door): State<Arc<Door>>) -> Response {
    let report = door.health.health().await;
    let status = if report.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}
