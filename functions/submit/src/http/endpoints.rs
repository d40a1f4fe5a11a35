//! Webhook endpoints that are disabled or backing off: `GET /webhooks/endpoints` lists them, and
//! `POST /webhooks/endpoints/{endpoint_id}/enable` enables one.

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

/// The prefix of this list's cursors.
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
    /// The end of the backoff; `null` if the endpoint is disabled until it is enabled.
    until: Option<String>,
    since: String,
    failures: u32,
    last_error: Option<String>,
}

pub(crate) async fn list_endpoints(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<EndpointList>, Problem> {
    let parameters = QueryParameters::parse(query.as_deref());
    let limit = parameters.limit()?;
    let partition = principal.tenant.as_str();
    let after = parameters.cursor(parse_position)?.map(|id| format!("{partition}/{id}"));
    // Reads one more than the limit to know whether another page follows.
    let mut records =
        app.backend.records.list_partition(Collection::Endpoints, partition, after.as_deref(), limit + 1).await?;
    let more = records.len() > limit;
    records.truncate(limit);
    let next = records.last().filter(|_| more).map(|last| cursor::encode(&format!("{CURSOR}{}", id_of(last))));
    Ok(Json(EndpointList { endpoints: records.iter().filter_map(answer).collect(), next }))
}

fn id_of(record: &Record) -> &str {
    record.key.rsplit('/').next().unwrap_or_default()
}

fn parse_position(cursor: &str) -> Result<String, Problem> {
    let id = cursor::decode(cursor).and_then(|text| text.strip_prefix(CURSOR).map(str::to_owned));
    id.filter(|id| is_id(id)).ok_or_else(cursor::invalid_cursor)
}

fn answer(record: &Record) -> Option<EndpointAnswer> {
    let Ok(endpoint) = serde_json::from_str::<Endpoint>(&record.body) else {
        error!(record.key, "malformed endpoint record");
        return None;
    };
    let (state, until) = match endpoint.state {
        EndpointState::Open { until } => ("open", Some(rfc3339(until))),
        EndpointState::Disabled => ("disabled", None),
    };
    let Endpoint { id, url, since, failures, last_error, .. } = endpoint;
    Some(EndpointAnswer { id, url, state, until, since: rfc3339(since), failures, last_error })
}

/// Enables the endpoint by deleting its record. `POST /webhooks/recover` sends its exhausted callbacks again.
pub(crate) async fn enable_endpoint(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id.map_err(|_| Problem::endpoint_not_found())?;
    let key = format!("{}/{id}", principal.tenant);
    if !is_id(&id) || !app.backend.records.delete(Collection::Endpoints, &key, None).await? {
        return Err(Problem::endpoint_not_found());
    }
    info!(tenant = principal.tenant.as_str(), endpoint.id = id, "endpoint enabled");
    Ok(StatusCode::NO_CONTENT)
}

/// Whether this is an endpoint's id. An invalid one must not become part of a record's key.
fn is_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
