//! The rendering step: renders pages ahead of the engines, within the pixel limit. Renderers, pixels and render seconds
//! are shared fairly between the tenants.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use quire_document::PageImage;
use quire_fair_share::{FairPermit, FairShare, WeightedShare, pool_size};
use quire_platform::{Backend, Error, now};
use quire_sandbox::{RenderedPage, Sandbox, SandboxError};
use quire_tasks::{Failure, FailureCode, PageMessage, TextLayerPolicy};
use quire_telemetry::{metrics, processors};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};
use tracing::{info, warn};

use crate::{
    batch::page_cost,
    complete::Completer,
    in_flight::{InFlight, PageEnd},
    render_budget::RenderBudgets,
    settings::InFlightLimits,
};

/// One page of this many in flight is rendered at a time; the others wait, are being read or are being stored. This
/// gives one renderer for an engine that reads page by page, and all CPUs for a GPU with hundreds of pages in flight.
const IN_FLIGHT_PER_RENDERER: u32 = 4;
/// How long a page is rendered before its task is checked for cancellation, and the interval of the checks. Ordinary
/// pages take less, so that they cost no read of the task table.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The delay before the next attempt of a page whose rendering failed for a reason outside of the document: the machine
/// is overloaded or short of memory, or an operator ends processes.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Where the rendering step sends a rendered page, and a page that cannot be rendered.
#[derive(Debug, Clone)]
pub(crate) struct RenderOutputs {
    pub(crate) to_read: mpsc::Sender<InFlight<PageImage>>,
    pub(crate) to_complete: mpsc::Sender<InFlight<PageEnd>>,
}

/// The step between the intake and reading.
#[derive(Debug)]
pub(crate) struct RenderStep {
    backend: Backend,
    sandbox: Sandbox,
    /// One permit per page that is rendered at a time.
    renderers: FairShare,
    budgets: Mutex<RenderBudgets>,
    /// Backpressure: the pixels that rendered pages may occupy until they are read.
    pixels: WeightedShare,
    max_pixels: u32,
    out: RenderOutputs,
    completer: Completer,
}

impl RenderStep {
    pub(crate) fn new(
        backend: Backend,
        sandbox: Sandbox,
        limits: InFlightLimits,
        out: RenderOutputs,
        completer: Completer,
    ) -> Self {
        let concurrency = (limits.pages / IN_FLIGHT_PER_RENDERER).clamp(1, processors() as u32) as usize;
        Self {
            backend,
            sandbox,
            renderers: FairShare::new(pool_size(concurrency)),
            budgets: Mutex::new(RenderBudgets::new(concurrency)),
            pixels: WeightedShare::new(limits.pixels),
            max_pixels: limits.pixels,
            out,
            completer,
        }
    }

    /// Renders pages until `pages` is closed. Their number is bounded by the permits of the intake, and pages leave in
    /// the order in which they are done.
    ///
    /// # Errors
    /// When a later step has ended.
    pub(crate) async fn run(self, mut pages: mpsc::Receiver<InFlight<PathBuf>>) -> anyhow::Result<()> {
        let step = Arc::new(self);
        let mut rendering = JoinSet::new();
        let mut is_open = true;
        while is_open || !rendering.is_empty() {
            tokio::select! {
                Some(ended) = rendering.join_next() => ended??,
                page = pages.recv(), if is_open => match page {
                    Some(page) => {
                        let step = Arc::clone(&step);
                        rendering.spawn(async move { step.render_page(page).await });
                    }
                    None => is_open = false,
                },
            }
        }
        Ok(())
    }

    async fn render_page(&self, page: InFlight<PathBuf>) -> anyhow::Result<()> {
        let (file, mut page) = page.split();
        let Some(renderer) = self.while_wanted(&page.message, self.acquire_renderer(page.tenant())).await else {
            return self.skip(page).await;
        };
        let started = Instant::now();
        let rendered = self.while_wanted(&page.message, self.render(&file, &page.message)).await;
        self.lock_budgets().charge(page.tenant(), started.elapsed(), Instant::now());
        match rendered {
            None => self.skip(page).await,
            Some(Ok(rendered)) => {
                let image = rendered.image;
                // A page larger than the limit takes all of it, and so is rendered alone.
                let share = page_cost(&image).min(u64::from(self.max_pixels)) as u32;
                page.pixel_permit = Some(self.pixels.acquire(page.tenant(), share).await);
                drop(renderer);
                self.out.to_read.send(page.with(image)).await.ok().context("the read step has ended")
            }
            Some(Err(SandboxError::Document(failure))) => {
                drop(renderer);
                self.out.to_complete.send(page.with(failure.into())).await.ok().context("the last step has ended")
            }
            Some(Err(SandboxError::Infrastructure { reason, is_suspect })) => {
                drop(renderer);
                return_to_queue(page, &reason, is_suspect).await;
                Ok(())
            }
        }
    }

    async fn render(&self, file: &Path, message: &PageMessage) -> Result<RenderedPage, SandboxError> {
        let page = message.page.page;
        match message.read_as.text_layer {
            TextLayerPolicy::Never => self.sandbox.page(file, page).await,
            TextLayerPolicy::Auto | TextLayerPolicy::Only => self.sandbox.page_with_text_layer(file, page).await,
        }
    }

    /// Waits for a renderer. A tenant that has used up its render seconds waits longer while others are active.
    async fn acquire_renderer(&self, tenant: &str) -> FairPermit {
        loop {
            let wait = self.lock_budgets().wait(tenant, Instant::now());
            if wait.is_zero() || !self.renderers.has_others(tenant) {
                return self.renderers.acquire(tenant).await;
            }
            sleep(wait.min(CHECK_INTERVAL)).await;
        }
    }

    /// Waits for `work` as long as the page's task is open; `None` if it was canceled or deleted. Work that is dropped
    /// is aborted.
    async fn while_wanted<T>(&self, message: &PageMessage, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.wait_until_canceled(message) => None,
        }
    }

    async fn wait_until_canceled(&self, message: &PageMessage) {
        loop {
            sleep(CHECK_INTERVAL).await;
            match self.backend.tasks.task(message.page.task_id).await {
                Ok(task) if task.expired(now()) || task.round > message.round || task.status().ended() => return,
                Err(Error::NotFound { .. }) => return,
                // Completing the page checks the task again.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Ends a page of a canceled or deleted task. It has ended in the task table already, so that this only
    /// acknowledges its message.
    async fn skip(&self, page: InFlight<()>) -> anyhow::Result<()> {
        let id = page.message.page;
        info!(task.id = %id.task_id, page.no = id.page, trace.id = page.trace_id(), "rendering aborted: task canceled");
        let canceled = Failure::new(FailureCode::Internal, "the task was canceled");
        self.completer.finish(page.with(canceled.into())).await;
        Ok(())
    }

    fn lock_budgets(&self) -> MutexGuard<'_, RenderBudgets> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a page to the queue whose rendering failed for a reason outside of its document. It spends an attempt only
/// if the document may have contributed.
async fn return_to_queue(page: InFlight<()>, reason: &str, is_suspect: bool) {
    let id = page.message.page;
    let trace_id = page.trace_id();
    let delay_ms = RETRY_DELAY.as_millis() as u64;
    let returned = if is_suspect {
        warn!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, delivery.attempt = page.attempt, delay_ms,
            reason, "page released for a retry: it could not be rendered");
        page.lease.release(RETRY_DELAY).await
    } else {
        info!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, delay_ms, reason,
            "page postponed: it could not be rendered");
        page.lease.requeue(RETRY_DELAY).await
    };
    metrics::count("PagesPutBack", 1);
    if let Err(error) = returned {
        warn!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, %error,
            "cannot return a page to the queue; it returns when its lease expires");
    }
}
