//! What all calls share.

use std::sync::Arc;

use quire_egress::Client;
use quire_platform::Backend;
use quire_routes::Config;
use quire_tenants::{KeyCache, RateLimiter};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{DoorSettings, Health, Inspector, problem::Problem, routing::Routing, webhooks::Webhooks};

/// The most searchable PDFs that are made at the same time: fewer than documents are taken in, so that those go on.
const MOST_RENDERING: usize = 4;

/// What the door works with.
#[derive(Debug)]
pub struct Door {
    pub(crate) backend: Backend,
    pub(crate) inspector: Arc<dyn Inspector>,
    pub(crate) egress: Client,
    pub(crate) settings: DoorSettings,
    pub(crate) health: Arc<dyn Health>,
    pub(crate) routing: Routing,
    pub(crate) inspections: Semaphore,
    /// How many searchable PDFs are made at the same time: each takes a processor.
    pub(crate) rendering: Semaphore,
    pub(crate) webhooks: Webhooks,
    pub(crate) keys: KeyCache,
    pub(crate) allowance: RateLimiter,
    /// Work that outlives its request: what was begun is finished even when nobody waits for the answer.
    pub(crate) work: TaskTracker,
    pub(crate) closing: CancellationToken,
}

impl Door {
    /// A door of these parts.
    pub fn new(
        backend: Backend,
        inspector: Arc<dyn Inspector>,
        egress: Client,
        settings: DoorSettings,
        health: Arc<dyn Health>,
        routes: Arc<Config>,
    ) -> Self {
        let inspections = Semaphore::new(settings.max_inspections);
        let rendering = Semaphore::new((settings.max_inspections / 2).clamp(1, MOST_RENDERING));
        let (work, closing) = (TaskTracker::new(), CancellationToken::new());
        let (keys, allowance) = (KeyCache::new(backend.clone()), RateLimiter::new(backend.clone()));
        let (routing, webhooks) = (Routing::new(routes), Webhooks::default());
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

    /// The problem of a request that is larger than this door takes.
    pub(crate) fn too_large(&self) -> Problem {
        let elsewhere = self.backend.objects.supports_uploads();
        let instead =
            if elsewhere { " Announce a larger document by POST /uploads, and put it where that says." } else { "" };
        Problem::body_too_large(self.settings.max_body_bytes, instead)
    }

    /// A URL that we may call, from a field.
    pub(crate) fn callable(&self, field: &str, url: &str) -> Result<String, Problem> {
        let url = self.egress.check(url).map_err(|why| Problem::url_refused(field, &why))?;
        Ok(url.into())
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
