//! The state that all requests share.

use std::sync::Arc;

use quire_egress::Client;
use quire_platform::Backend;
use quire_routes::Config;
use quire_tenants::{KeyCache, RateLimiter, Signing};
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{documents::inspector::Inspector, health::Health, settings::SubmitSettings, tasks::routing::Routing};

/// The maximum number of test events in flight: each holds a connection until its receiver answers.
const MAX_WEBHOOK_TESTS: usize = 16;

/// The maximum number of searchable PDFs that are made concurrently. It is below the number of documents that are
/// ingested concurrently, so that PDFs never block those.
const MAX_RENDERINGS: usize = 4;

/// What the API needs to sign and send webhooks itself.
#[derive(Debug)]
pub(crate) struct WebhookState {
    /// Loaded on first use.
    pub(crate) signing: OnceCell<Signing>,
    /// Permits for test events.
    pub(crate) tests: Semaphore,
}

impl Default for WebhookState {
    fn default() -> Self {
        Self { signing: OnceCell::new(), tests: Semaphore::new(MAX_WEBHOOK_TESTS) }
    }
}

/// The shared state of the HTTP API and of ingest.
#[derive(Debug)]
pub struct AppState {
    pub(crate) backend: Backend,
    pub(crate) inspector: Arc<dyn Inspector>,
    pub(crate) egress: Client,
    pub(crate) settings: SubmitSettings,
    pub(crate) health: Arc<dyn Health>,
    pub(crate) routing: Routing,
    /// Permits for validating documents.
    pub(crate) inspections: Semaphore,
    /// Permits for making searchable PDFs: each takes a CPU.
    pub(crate) rendering: Semaphore,
    pub(crate) webhooks: WebhookState,
    pub(crate) keys: KeyCache,
    pub(crate) allowance: RateLimiter,
    /// Background work that outlives its request, even if the client disconnects.
    pub(crate) work: TaskTracker,
    /// Canceled when a graceful shutdown begins.
    pub(crate) closing: CancellationToken,
}

impl AppState {
    /// Returns the state for these settings and dependencies.
    pub fn new(
        backend: Backend,
        inspector: Arc<dyn Inspector>,
        egress: Client,
        settings: SubmitSettings,
        health: Arc<dyn Health>,
        routes: Arc<Config>,
    ) -> Self {
        let max_renderings = (settings.max_inspections / 2).clamp(1, MAX_RENDERINGS);
        Self {
            inspections: Semaphore::new(settings.max_inspections),
            rendering: Semaphore::new(max_renderings),
            webhooks: WebhookState::default(),
            keys: KeyCache::new(backend.clone()),
            allowance: RateLimiter::with_defaults(backend.clone(), settings.default_limits),
            routing: Routing::new(routes),
            work: TaskTracker::new(),
            closing: CancellationToken::new(),
            backend,
            inspector,
            egress,
            settings,
            health,
        }
    }

    /// Begins a graceful shutdown: requests that wait for a task respond with its current state (e.g. `202`), so that
    /// the server can close its connections. New requests are still served.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Waits until all background work is done, i.e. the messages of every created task are sent. It is the last step
    /// of a shutdown, after the server has stopped. In a Lambda function it is the last step of every request, since
    /// the process is frozen after its response.
    pub async fn drained(&self) {
        self.work.close();
        self.work.wait().await;
    }
}
