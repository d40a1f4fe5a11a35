//! What the Lambda functions have in common.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use async_trait::async_trait;
use axum::{Router, body::Body, extract::Request, response::Response};
use quire_egress::{Client, EgressOptions};
use quire_platform::{Backend, Error};
use quire_routes::Config;
use quire_sandbox::{Sandbox, SandboxLimits, SandboxProgram, font_folders_from_env};
use quire_tasks::TaskId;
use quire_telemetry::env;
use tokio::time::timeout;
use tower::ServiceExt;
use tracing::warn;

use crate::{
    documents::child_inspector::ChildInspector,
    health::{Health, HealthReport},
    http::{
        engines::engine_health,
        response_size::{fit_response, takes_gzip},
    },
    settings::SubmitSettings,
    state::AppState,
};

/// Runs as a child process that parses a document, if this process was started as one; returns `None` if it is the
/// function itself. Must be called at the start of `main`.
pub fn run_if_child() -> Option<ExitCode> {
    quire_sandbox::run_if_child()
}

/// Returns the path of the `PDFium` library: `QUIRE_PDFIUM_PATH`. Default: the copy in the function's zip.
fn pdfium() -> anyhow::Result<PathBuf> {
    if let Some(path) = env::text("QUIRE_PDFIUM_PATH")? {
        return Ok(path.into());
    }
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    Ok(program.with_file_name("libpdfium.so"))
}

/// Returns the client for customers' URLs. With `QUIRE_DEV` it also calls the loopback address without TLS, for
/// emulators.
///
/// # Errors
/// If the variable is invalid, or there are no root certificates.
pub fn egress() -> anyhow::Result<Client> {
    Ok(Client::with_options(EgressOptions::from_env(false)?)?)
}

/// Returns the state for the environment's settings. This program is its own inspector.
///
/// # Errors
/// If a variable is invalid.
pub fn app_state(backend: Backend) -> anyhow::Result<AppState> {
    let settings = SubmitSettings::from_env()?;
    let program = SandboxProgram::this().context("cannot find the path of this program")?;
    let sandbox = Sandbox::new(program, Some(pdfium()?), settings.limits, SandboxLimits::from_env()?)
        .with_fonts(font_folders_from_env()?);
    let inspector = Arc::new(ChildInspector::new(sandbox, settings.limits));
    let routes = Arc::new(Config::from_env()?);
    let health = Arc::new(BackendHealth { backend: backend.clone(), routes: Arc::clone(&routes) });
    Ok(AppState::new(backend, inspector, egress()?, settings, health, routes))
}

/// Serves one request and then finishes its background work, because the process is frozen after the response. Work
/// that exceeds `limit` is left to the next sweep.
pub async fn answer(app: &AppState, router: Router, request: Request, limit: Duration) -> Response {
    let begun = tokio::time::Instant::now();
    let takes_gzip = takes_gzip(request.headers());
    let response: Response<Body> = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    if timeout(limit.saturating_sub(begun.elapsed()), app.drained()).await.is_err() {
        warn!("timeout: responded before all messages were sent; the next sweep sends them");
    }
    fit_response(response, takes_gzip).await
}

/// The health of a Lambda deployment: healthy if the backend responds. Workers are known by their stored status only.
#[derive(Debug)]
struct BackendHealth {
    backend: Backend,
    routes: Arc<Config>,
}

#[async_trait]
impl Health for BackendHealth {
    async fn health(&self) -> HealthReport {
        // Reading a task needs no permission beyond those of the API.
        let probe = self.backend.tasks.task(TaskId::derive_from(&["nobody's"])).await;
        let table_ok = matches!(probe, Ok(_) | Err(Error::NotFound { .. }));
        let engines = engine_health(&self.backend, &self.routes).await;
        let ok = table_ok && engines.is_ok();
        let mut details = engines.unwrap_or_default();
        details.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
        HealthReport { ok, details }
    }
}
