//! `GET /task/{task_id}/deliveries`: what a task's receiver was told, and how each attempt at that went.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::PathRejection},
};
use quire_platform::{Backend, Collection, Result};
use quire_tasks::{AttemptResult, DeliveryAttempt, TaskId, WebhookId};
use serde::Serialize;
use tracing::error;

use crate::{Door, caller::Caller, cursor, parameters::Parameters, problem::Problem, summary::rfc3339};

/// What this list's cursors begin with.
const CURSOR: &str = "d.";

/// Of how many attempts the log of one task is looked at, at most: the notifier keeps fewer.
const MOST_ATTEMPTS: usize = 500;
/// How many records are read at a time: an attempt has up to a few kilobytes.
const READ_AT_A_TIME: usize = 100;

#[derive(Debug, Serialize)]
pub(crate) struct Deliveries {
    /// Newest first.
    deliveries: Vec<Delivery>,
    next: Option<String>,
}

/// What was told, once or again and again.
#[derive(Debug, Serialize)]
struct Delivery {
    /// The `webhook-id`.
    id: WebhookId,
    event: String,
    /// In the order made.
    attempts: Vec<AttemptAnswer>,
    /// The place in the list: where the log's first attempt at it lies.
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

pub(crate) async fn deliveries(
    State(door): State<Arc<Door>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Json<Deliveries>, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let parameters = Parameters::of(query.as_deref());
    let (limit, before) = (parameters.limit()?, parameters.cursor(place)?);
    let task = door.task_of(&caller, &id).await?;
    let mut deliveries = grouped(log(&door.backend, task.id).await?);
    if let Some(before) = before {
        deliveries.retain(|delivery| delivery.first < before);
    }
    let next =
        deliveries.get(limit).is_some().then(|| cursor::encode(&format!("{CURSOR}{}", deliveries[limit - 1].first)));
    deliveries.truncate(limit);
    Ok(Json(Deliveries { deliveries, next }))
}

fn place(cursor: &str) -> Result<String, Problem> {
    let place = cursor::decode(cursor).and_then(|text| text.strip_prefix(CURSOR).map(str::to_owned));
    place.ok_or_else(cursor::wrong)
}

/// All attempts of a task that are known, in the order made.
async fn log(backend: &Backend, task_id: TaskId) -> Result<Vec<DeliveryAttempt>> {
    let room = task_id.to_string();
    let (mut attempts, mut after) = (Vec::new(), None::<String>);
    while attempts.len() < MOST_ATTEMPTS {
        let records =
            backend.records.list_partition(Collection::Deliveries, &room, after.as_deref(), READ_AT_A_TIME).await?;
        after = records.last().map(|record| record.key.clone());
        for record in &records {
            if let Ok(attempt) = serde_json::from_str(&record.body) {
                attempts.push(attempt);
            } else {
                // What it holds is not said: a receiver's answer is among it.
                error!(record.key, "a delivery's record is malformed");
            }
        }
        if records.len() < READ_AT_A_TIME {
            break;
        }
    }
    Ok(attempts)
}

/// The attempts by what they were to tell, newest first.
fn grouped(attempts: Vec<DeliveryAttempt>) -> Vec<Delivery> {
    let mut by_id = BTreeMap::<WebhookId, Delivery>::new();
    for attempt in attempts {
        let (id, first) = (attempt.webhook_id, attempt.key());
        let event = attempt.event.clone();
        let delivery = by_id.entry(id).or_insert_with(|| Delivery { id, event, attempts: Vec::new(), first });
        delivery.attempts.push(attempt.into());
    }
    let mut deliveries: Vec<Delivery> = by_id.into_values().collect();
    deliveries.sort_by(|one, other| other.first.cmp(&one.first));
    deliveries
}

impl From<DeliveryAttempt> for AttemptAnswer {
    fn from(attempt: DeliveryAttempt) -> Self {
        let DeliveryAttempt {
            attempt, at, duration_ms, result: ending, status, error, response: answer, next_at, ..
        } = attempt;
        let (at, next_at) = (rfc3339(at), next_at.map(rfc3339));
        Self { attempt, at, status, duration_ms, ending, error, answer, next_at }
    }
}
