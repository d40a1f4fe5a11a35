//! What all calls share.

use std::sync::Arc;

use quire_egress::Client;
use quire_platform::Backend;
use quire_routes::Config;
use quire_tenants::{Allowance, Keys, Signing};
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{documents::inspector::Inspector, health::Health, settings::SubmitSettings, tasks::routing::Routing};

/// The most searchable PDFs that are made at the same time: fewer than documents are taken in, so that those go on.
const MOST_RENDERING: usize = 4;

/// How many test events are on their way at a time, over all requests: each holds a connection for as long as its receiver
/// likes.
const TESTS_AT_ONCE: usize = 16;

/// What the door itself sends to receivers, and signs with.
#[derive(Debug)]
pub(crate) struct WebhookState {
    /// Made by the first who needs it.
    pub(crate) signing: OnceCell<Signing>,
    pub(crate) tests: Semaphore,
}

impl Default for WebhookState {
    fn default() -> Self {
        Self { signing: OnceCell::new(), tests: Semaphore::new(TESTS_AT_ONCE) }
    }
}

/// What the door works with.
#[derive(Debug)]
pub struct AppState {
    pub(crate) backend: Backend,
    pub(crate) inspector: Arc<dyn Inspector>,
    pub(crate) egress: Client,
    pub(crate) settings: SubmitSettings,
    pub(crate) health: Arc<dyn Health>,
    pub(crate) routing: Routing,
    pub(crate) inspections: Semaphore,
    /// How many searchable PDFs are made at the same time: each takes a processor.
    pub(crate) rendering: Semaphore,
    pub(crate) webhooks: WebhookState,
    pub(crate) keys: Keys,
    pub(crate) allowance: Allowance,
    /// Work that outlives its request: what was begun is finished even when nobody waits for the answer.
    pub(crate) work: TaskTracker,
    pub(crate) closing: CancellationToken,
}

impl AppState {
    /// A door of these parts.
    pub fn new(
        backend: Backend,
        inspector: Arc<dyn Inspector>,
        egress: Client,
        settings: SubmitSettings,
        health: Arc<dyn Health>,
        routes: Arc<Config>,
    ) -> Self {
        let inspections = Semaphore::new(settings.max_inspections);
        let rendering = Semaphore::new((settings.max_inspections / 2).clamp(1, MOST_RENDERING));
        let (work, closing) = (TaskTracker::new(), CancellationToken::new());
        let (keys, allowance) = (Keys::new(backend.clone()), Allowance::new(backend.clone()));
        let (routing, webhooks) = (Routing::new(routes), WebhookState::default());
        Self {
            backend,
            inspector,
            egress,
            settings,
            health,
            routing,
            inspections,
            rendering,
            webhooks,
            keys,
            allowance,
            work,
            closing,
        }
    }

    /// The first step of a shutdown: whoever waits for a task is answered with what is known now (`202`, say), so that
    /// the server can end its connections. Requests are still served.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Returns when nothing goes on behind the requests: every accepted task is dispatched. The last step of a shutdown,
    /// after the server has ended; and of every request, where the process stands still as soon as it has answered.
    pub async fn drained(&self) {
        self.work.close();
        self.work.wait().await;
    }
}
