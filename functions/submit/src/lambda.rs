//! What the doors that run as Lambda functions are made of.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use async_trait::async_trait;
use axum::{Router, body::Body, extract::Request, response::Response};
use quire_egress::{Client, EgressPolicy};
use quire_platform::{Backend, Error};
use quire_routes::Config;
use quire_tasks::{Failure, FailureCode, TaskId};
use quire_telemetry::env;
use tokio::time::timeout;
use tower::ServiceExt;
use tracing::warn;

use crate::{
    ChildInspector, Door, DoorSettings, Health, HealthReport,
    carry::{carried, takes_gzip},
    engines, inspect_as_child, picture_as_child,
};

/// The child's side of a check, or of making pictures of pages, where this program was started for that; `None` where it
/// is to be the function.
pub fn inspect_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let asked = arguments.next()?;
    let as_child = match asked.to_str()? {
        "inspect" => inspect_as_child,
        "picture" => picture_as_child,
        _ => return None,
    };
    Some(as_child(pdfium(), Path::new(&arguments.next().unwrap_or_default())))
}

/// The library that `QUIRE_PDFIUM_PATH` names, or else the one in the zip.
fn pdfium() -> Result<PathBuf, Failure> {
    let failure = |why: String| Failure::new(FailureCode::Internal, why);
    if let Some(path) = env::text("QUIRE_PDFIUM_PATH").map_err(|error| failure(error.to_string()))? {
        return Ok(path.into());
    }
    let program = std::env::current_exe().map_err(|error| failure(error.to_string()))?;
    Ok(program.with_file_name("libpdfium.so"))
}

/// The client for strangers' addresses; with `QUIRE_DEV`, one that also calls this machine without TLS, for an emulator.
///
/// # Errors
/// When the variable makes no sense, or there are no certificates to trust.
pub fn egress() -> anyhow::Result<Client> {
    Ok(Client::new(EgressPolicy { allow_loopback_http: env::switch("QUIRE_DEV")? })?)
}

/// A door by the environment, whose inspector is this very program.
///
/// # Errors
/// When a variable makes no sense.
pub fn door(backend: Backend) -> anyhow::Result<Door> {
    let settings = DoorSettings::from_env()?;
    let program = std::env::current_exe().context("this program's own file cannot be found")?;
    let inspector = Arc::new(ChildInspector::new(program, settings.limits));
    let routes = Arc::new(Config::from_env()?);
    let health = Arc::new(HomeHealth { backend: backend.clone(), routes: Arc::clone(&routes) });
    Ok(Door::new(backend, inspector, egress()?, settings, health, routes))
}

/// Answers one request, and leaves nothing for afterwards: the process stands still as soon as it has answered. What
/// takes longer than `limit` nonetheless is sent by the next sweep.
pub async fn answer(door: &Door, router: Router, request: Request, limit: Duration) -> Response {
    let begun = tokio::time::Instant::now();
    let takes_gzip = takes_gzip(request.headers());
    let response: Response<Body> = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    if timeout(limit.saturating_sub(begun.elapsed()), door.drained()).await.is_err() {
        warn!("answered before all messages were sent; the next sweep sends them");
    }
    carried(response, takes_gzip).await
}

/// A Lambda knows of workers what they have written down. It is well when its backend answers.
#[derive(Debug)]
struct HomeHealth {
    backend: Backend,
    routes: Arc<Config>,
}

#[async_trait]
impl Health for HomeHealth {
    async fn health(&self) -> HealthReport {
        // Reading a task needs no right that the door does not have anyway.
        let nobody = self.backend.tasks.task(TaskId::derive_from(&["nobody's"])).await;
        let ok = matches!(nobody, Ok(_) | Err(Error::NotFound { .. }));
        let engines = engines(&self.backend, &self.routes).await;
        let ok = ok && engines.is_ok();
        let version = ("version".to_owned(), env!("CARGO_PKG_VERSION").into());
        HealthReport { ok, details: engines.unwrap_or_default().into_iter().chain([version]).collect() }
    }
}
