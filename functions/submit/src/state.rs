//! The state that all requests share.

use std::sync::Arc;

use quire_egress::Client;
use quire_platform::Backend;
use quire_routes::Config;
use quire_tenants::{KeyCache, RateLimiter, Signing};
use tokio::sync::OnceCell;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    documents::inspector::Inspector, health::Health, pools::Pools, settings::SubmitSettings, tasks::routing::Routing,
};

/// The shared state of the HTTP API and of ingest.
#[derive(Debug)]
pub struct AppState {
    pub(crate) backend: Backend,
    pub(crate) inspector: Arc<dyn Inspector>,
    pub(crate) egress: Client,
    pub(crate) settings: SubmitSettings,
    pub(crate) health: Arc<dyn Health>,
    pub(crate) routing: Routing,
    pub(crate) pools: Pools,
    /// What the API needs to sign webhooks itself. Loaded on first use.
    pub(crate) signing: OnceCell<Signing>,
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
        Self {
            pools: Pools::new(&settings),
            signing: OnceCell::new(),
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
