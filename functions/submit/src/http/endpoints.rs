//! Receivers with which something is wrong: `GET /webhooks/endpoints` lists them, and
//! `POST /webhooks/endpoints/{endpoint_id}/enable` has one called again.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::StatusCode,
};
use quire_callback::{Endpoint, EndpointState};
use quire_platform::{Collection, Record};
use serde::Serialize;
use tracing::{error, info};

use crate::{
    http::{cursor, principal::Principal, problem::Problem, query::QueryParameters},
    state::AppState,
    time::rfc3339,
};

/// What this list's cursors begin with.
const CURSOR: &str = "e.";

#[derive(Debug, Serialize)]
pub(crate) struct EndpointList {
    endpoints: Vec<EndpointAnswer>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct EndpointAnswer {
    id: String,
    url: String,
    state: &'static str,
    /// Until when it is left alone; `null` for one that is disabled, until somebody enables it.
    until: Option<String>,
    since: String,
    failures: u32,
    last_error: Option<String>,
}

pub(crate) async fn endpoints(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<EndpointList>, Problem> {
    let parameters = QueryParameters::of(query.as_deref());
    let (limit, after) = (parameters.limit()?, parameters.cursor(place)?);
    let room = principal.tenant.as_str();
    let after = after.map(|id| format!("{room}/{id}"));
    // One more, to know whether there are more.
    let mut records =
        app.backend.records.list_partition(Collection::Endpoints, room, after.as_deref(), limit + 1).await?;
    let more = records.len() > limit;
    records.truncate(limit);
    let id = |record: &Record| record.key.rsplit('/').next().unwrap_or_default().to_owned();
    let next = records.last().filter(|_| more).map(|last| cursor::encode(&format!("{CURSOR}{}", id(last))));
    Ok(Json(EndpointList { endpoints: records.iter().filter_map(answer).collect(), next }))
}

fn place(cursor: &str) -> Result<String, Problem> {
    let id = cursor::decode(cursor).and_then(|text| text.strip_prefix(CURSOR).map(str::to_owned));
    id.filter(|id| is_id(id)).ok_or_else(cursor::wrong)
}

fn answer(record: &Record) -> Option<EndpointAnswer> {
    let Ok(endpoint) = serde_json::from_str::<Endpoint>(&record.body) else {
        error!(record.key, "a receiver's record is malformed");
        return None;
    };
    let (state, until) = match endpoint.state {
        EndpointState::Open { until } => ("open", Some(rfc3339(until))),
        EndpointState::Disabled => ("disabled", None),
    };
    let Endpoint { id, url, since, failures, last_error, .. } = endpoint;
    Some(EndpointAnswer { id, url, state, until, since: rfc3339(since), failures, last_error })
}

/// Nothing is known against it any more. What was given up meanwhile is sent by `POST /webhooks/recover`.
pub(crate) async fn enable(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id.map_err(|_| Problem::endpoint_not_found())?;
    let key = format!("{}/{id}", principal.tenant);
    if !is_id(&id) || !app.backend.records.delete(Collection::Endpoints, &key, None).await? {
        return Err(Problem::endpoint_not_found());
    }
    info!(tenant = principal.tenant.as_str(), endpoint.id = id, "receiver enabled");
    Ok(StatusCode::NO_CONTENT)
}

/// What is no id is no part of a record's key either.
fn is_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
