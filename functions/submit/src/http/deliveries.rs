//! `GET /task/{task_id}/deliveries`: lists the deliveries of a task's callbacks with their attempts.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::PathRejection},
};
use quire_platform::{Backend, Collection, Result};
use quire_tasks::{AttemptResult, DeliveryAttempt, TaskId, WebhookId};
use serde::Serialize;
use tracing::error;

use crate::{
    http::{cursor, principal::Principal, problem::Problem, query::QueryParameters},
    state::AppState,
    time::rfc3339,
};

/// The prefix of this list's cursors.
const CURSOR: &str = "d.";

/// The maximum number of attempts read from the log of one task. The notifier stores fewer.
const MAX_ATTEMPTS: usize = 500;
/// The number of records read at a time: an attempt has up to a few kilobytes.
const READ_BATCH: usize = 100;

#[derive(Debug, Serialize)]
pub(crate) struct DeliveryList {
    /// Newest first.
    deliveries: Vec<DeliveryAnswer>,
    next: Option<String>,
}

/// A delivery with all its attempts.
#[derive(Debug, Serialize)]
struct DeliveryAnswer {
    /// The `webhook-id`.
    id: WebhookId,
    event: String,
    /// In chronological order.
    attempts: Vec<AttemptAnswer>,
    /// The key of its first attempt, which is its position in the list.
    #[serde(skip)]
    first: String,
}

#[derive(Debug, Serialize)]
struct AttemptAnswer {
    attempt: u32,
    at: String,
    status: Option<u16>,
    duration_ms: u64,
    ending: AttemptResult,
    error: Option<String>,
    answer: Option<String>,
    next_at: Option<String>,
}

pub(crate) async fn list_deliveries(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Json<DeliveryList>, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let parameters = QueryParameters::parse(query.as_deref());
    let limit = parameters.limit()?;
    let before = parameters.cursor(parse_position)?;
    let task = app.task_of(&principal, &id).await?;
    let mut deliveries = group_by_delivery(read_log(&app.backend, task.id).await?);
    if let Some(before) = before {
        deliveries.retain(|delivery| delivery.first < before);
    }
    let next = if deliveries.len() > limit {
        Some(cursor::encode(&format!("{CURSOR}{}", deliveries[limit - 1].first)))
    } else {
        None
    };
    deliveries.truncate(limit);
    Ok(Json(DeliveryList { deliveries, next }))
}

fn parse_position(cursor: &str) -> Result<String, Problem> {
    let position = cursor::decode(cursor).and_then(|text| text.strip_prefix(CURSOR).map(str::to_owned));
    position.ok_or_else(cursor::invalid_cursor)
}

/// Reads all logged attempts of a task, in chronological order.
async fn read_log(backend: &Backend, task_id: TaskId) -> Result<Vec<DeliveryAttempt>> {
    let partition = task_id.to_string();
    let mut attempts = Vec::new();
    let mut after: Option<String> = None;
    while attempts.len() < MAX_ATTEMPTS {
        let records =
            backend.records.list_partition(Collection::Deliveries, &partition, after.as_deref(), READ_BATCH).await?;
        after = records.last().map(|record| record.key.clone());
        for record in &records {
            if let Ok(attempt) = serde_json::from_str(&record.body) {
                attempts.push(attempt);
            } else {
                // Its body is not logged: it contains a receiver's response.
                error!(record.key, "malformed delivery record");
            }
        }
        if records.len() < READ_BATCH {
            break;
        }
    }
    Ok(attempts)
}

/// Groups attempts by delivery, newest first.
fn group_by_delivery(attempts: Vec<DeliveryAttempt>) -> Vec<DeliveryAnswer> {
    let mut by_id = BTreeMap::<WebhookId, DeliveryAnswer>::new();
    for attempt in attempts {
        let id = attempt.webhook_id;
        let first = attempt.key();
        let event = attempt.event.clone();
        let delivery = by_id.entry(id).or_insert_with(|| DeliveryAnswer { id, event, attempts: Vec::new(), first });
        delivery.attempts.push(attempt.into());
    }
    let mut deliveries: Vec<DeliveryAnswer> = by_id.into_values().collect();
    deliveries.sort_by(|one, other| other.first.cmp(&one.first));
    deliveries
}

impl From<DeliveryAttempt> for AttemptAnswer {
    fn from(attempt: DeliveryAttempt) -> Self {
        let DeliveryAttempt {
            attempt, at, duration_ms, result: ending, status, error, response: answer, next_at, ..
        } = attempt;
        let next_at = next_at.map(rfc3339);
        Self { attempt, at: rfc3339(at), status, duration_ms, ending, error, answer, next_at }
    }
}
