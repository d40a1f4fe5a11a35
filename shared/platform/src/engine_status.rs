//! The engine status store: operators' decisions and workers' reports about engines, as records.
//!
//! The types and their meaning are in [`quire_tasks`]; this module only reads and writes them.

use quire_tasks::{EngineControl, EngineName, EngineReport, EngineStatuses, OperatorNote, UnixMillis};
use serde::de::DeserializeOwned;

use crate::{
    Backend, Collection, Result,
    records::{self, RecordUpdate, UpdateOptions},
};

/// Reports are kept for a day, so that a canary with few pages is judged by all workers of that day.
const REPORT_RETENTION_MILLIS: i64 = 24 * 60 * 60 * 1000;
/// Limit of a listing: more engines and workers than any installation has.
const MAX_RECORDS: usize = 10_000;
/// How an engine's decisions are updated.
const UPDATE: UpdateOptions = UpdateOptions { what: "an engine's record", attempts: 10, retry_busy: true };

/// Reads all decisions and reports. A record that cannot be parsed is ignored.
///
/// # Errors
/// Any [`crate::Error`].
pub async fn read(backend: &Backend) -> Result<EngineStatuses> {
    let controls = backend.records.list(Collection::Engines, None, MAX_RECORDS).await?;
    let reports = backend.records.list(Collection::Reports, None, MAX_RECORDS).await?;
    let controls = controls.iter().filter_map(|record| Some((record.key.parse().ok()?, parse(&record.body)?)));
    let reports = reports.iter().filter_map(|record| parse(&record.body));
    Ok(EngineStatuses::new(controls.collect(), reports.collect()))
}

/// Reads the decisions only: enough for a worker, which polls them often.
///
/// # Errors
/// Any [`crate::Error`].
pub async fn read_controls(backend: &Backend) -> Result<EngineStatuses> {
    let controls = backend.records.list(Collection::Engines, None, MAX_RECORDS).await?;
    let controls = controls.iter().filter_map(|record| Some((record.key.parse().ok()?, parse(&record.body)?)));
    Ok(EngineStatuses::new(controls.collect(), Vec::new()))
}

/// Stores the status of an engine in one worker.
///
/// # Errors
/// Any [`crate::Error`].
pub async fn report(backend: &Backend, report: &EngineReport) -> Result<()> {
    let key = format!("{}/{}", report.engine, report.worker);
    let expires_at = UnixMillis(report.at.0 + REPORT_RETENTION_MILLIS);
    let body = records::serialize(UPDATE.what, report)?;
    backend.records.set(Collection::Reports, &key, body, Some(expires_at)).await
}

/// Stores the last report of a worker that stops: its statistics still count, its state does not.
///
/// # Errors
/// Any [`crate::Error`].
pub async fn report_stopped(backend: &Backend, last: &EngineReport) -> Result<()> {
    report(backend, &last.of_stopped_worker()).await
}

/// Pauses an engine: no worker gives it pages until [`resume`].
///
/// # Errors
/// Any [`crate::Error`].
pub async fn pause(backend: &Backend, engine: &EngineName, note: OperatorNote) -> Result<()> {
    update(backend, engine, |control| control.paused = Some(note.clone())).await
}

/// Ends a pause.
///
/// # Errors
/// Any [`crate::Error`].
pub async fn resume(backend: &Backend, engine: &EngineName) -> Result<()> {
    update(backend, engine, |control| control.paused = None).await
}

/// Makes every worker whose breaker is open try one page now.
///
/// # Errors
/// Any [`crate::Error`].
pub async fn probe(backend: &Backend, engine: &EngineName, note: OperatorNote) -> Result<()> {
    update(backend, engine, |control| control.probed = Some(note.clone())).await
}

/// Ends a canary's trial: no further task is assigned to it. Returns whether this call did so; the first note stays.
///
/// # Errors
/// Any [`crate::Error`].
pub async fn roll_back(backend: &Backend, engine: &EngineName, note: OperatorNote) -> Result<bool> {
    update(backend, engine, |control| {
        let is_first = control.rolled_back.is_none();
        control.rolled_back.get_or_insert_with(|| note.clone());
        is_first
    })
    .await
}

/// Starts a new trial of a canary that was rolled back. Statistics of earlier trials no longer count.
///
/// # Errors
/// Any [`crate::Error`].
pub async fn reinstate(backend: &Backend, engine: &EngineName) -> Result<()> {
    update(backend, engine, |control| {
        control.rolled_back = None;
        control.trial += 1;
    })
    .await
}

async fn update<R>(
    backend: &Backend,
    engine: &EngineName,
    mut change: impl FnMut(&mut EngineControl) -> R,
) -> Result<R> {
    let key = engine.to_string();
    records::update(backend.records.as_ref(), Collection::Engines, &key, UPDATE, |stored: Option<EngineControl>| {
        let mut value = stored.unwrap_or_default();
        let result = change(&mut value);
        RecordUpdate::Put { value, result }
    })
    .await
}

fn parse<T: DeserializeOwned>(body: &str) -> Option<T> {
    serde_json::from_str(body).ok()
}
