//! The read step: plans a page, asks its engines, and carries out what the outcomes decide.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::bail;
use quire_document::PageImage;
use quire_fair_share::with_tenant;
use quire_platform::{Backend, PageBatches, QueueName, now};
use quire_pp_ocr::read_text_layer;
use quire_routes::{NotOffered, ReadPlan};
use quire_tasks::{
    EngineName, Failure, FailureCode, FallbackReason, Mode, PageMessage, PageText, ReadAs, TaskId, TextLayerPolicy,
    TriedEngine, UnixMillis,
};
use quire_telemetry::metrics;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    canary::{DocumentOwner, document_owner},
    complete::Completer,
    engine_guard::EngineOutcome,
    engines::Engines,
    in_flight::{InFlight, PageEnd},
    layout::{add_blocks, gray_image},
    outcome::{AttemptBudget, PageDecision, decide, needs_fallback, tried},
    redact, review,
    scripts::{merge_scripts, unreadable_scripts},
    settings::WorkerSettings,
};

/// Delay of a page whose task could not be read.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// Workers may still give a canary pages for this long after its rollback: the poll interval of the engine status, with
/// a margin.
const STATUS_DELAY: Duration = Duration::from_secs(10);
/// The cache of decided documents is cleared when it has this many.
const MAX_DECIDED: usize = 10_000;

/// The step between rendering and completing.
#[derive(Debug)]
pub(crate) struct PageReadStep {
    backend: Backend,
    engines: Arc<Engines>,
    completer: Completer,
    settings: WorkerSettings,
    /// Whether a document of a rolled back canary stays with the canary. A decision never changes, so it is cached.
    decided: Mutex<HashMap<(TaskId, u32, EngineName), bool>>,
}

/// Why a page has no plan.
enum PlanError {
    /// No engine offers what the page needs. Decision: fail the page.
    NotOffered(Failure),
    /// It cannot be decided yet. Decision: postpone the page.
    Undecided(Duration),
}

impl From<NotOffered> for PlanError {
    fn from(error: NotOffered) -> Self {
        Self::NotOffered(Failure::new(FailureCode::NotOffered, error.to_string()))
    }
}

/// Reads pages concurrently; their number is bounded by the permits of the intake. When an engine's thread is lost,
/// takes no further page, waits for the others, and fails.
pub(crate) async fn run(
    step: &Arc<PageReadStep>,
    mut pages: mpsc::Receiver<InFlight<PageImage>>,
    stopping: CancellationToken,
) -> anyhow::Result<()> {
    let mut reading = JoinSet::new();
    let mut lost = None;
    while lost.is_none() {
        tokio::select! {
            page = pages.recv() => {
                let Some(page) = page else { break };
                let step = Arc::clone(step);
                let tenant = page.tenant().to_owned();
                reading.spawn(async move { with_tenant(&tenant, step.read_page(page)).await });
            }
            Some(ended) = reading.join_next() => lost = ended?.err(),
        }
    }
    if lost.is_some() {
        stopping.cancel();
    }
    while let Some(ended) = reading.join_next().await {
        lost = lost.or(ended?.err());
    }
    match lost {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

impl PageReadStep {
    pub(crate) fn new(backend: Backend, engines: Arc<Engines>, completer: Completer, settings: WorkerSettings) -> Self {
        Self { backend, engines, completer, settings, decided: Mutex::default() }
    }

    /// Reads a page and completes it, or returns it to the queue.
    ///
    /// # Errors
    /// When an engine's thread is lost; then the process must end.
    async fn read_page(&self, page: InFlight<PageImage>) -> anyhow::Result<()> {
        let (image, page) = page.split();
        let (plan, skipped) = match self.plan(&page.message).await {
            Ok(planned) => planned,
            Err(PlanError::NotOffered(failure)) => {
                self.completer.finish(page.with(failure.into())).await;
                return Ok(());
            }
            Err(PlanError::Undecided(delay)) => {
                return_to_queue(page, PageDecision::Postpone(delay)).await;
                return Ok(());
            }
        };
        let read_as = &page.message.read_as;
        let gray = gray_image(&image, read_as.mode.name());
        let (first, second, is_script_engine_lost) = if read_as.text_layer == TextLayerPolicy::Only {
            let text = read_text_layer(&image, &plan.first.engine);
            (EngineOutcome::Text(Box::new(text)).with_warnings(image.warnings()), None, false)
        } else {
            self.ask_engines(&plan, image, &read_as.mode).await
        };
        let is_lost = is_script_engine_lost || is_thread_lost(&first) || second.as_ref().is_some_and(is_thread_lost);
        let decision = decide(&plan, first, second, self.attempts(page.attempt), Instant::now());
        let decision = match decision {
            // The lines are final; redaction comes next, so that blocks never have text of their own.
            PageDecision::Complete(text) => {
                PageDecision::Complete(add_blocks(gray, page.message.read_as.mode.name(), text).await)
            }
            other => other,
        };
        self.carry_out(page, &plan, skipped, decision).await;
        if is_lost {
            bail!("an engine did not come back within {} s a page", self.settings.page_timeout.as_secs());
        }
        Ok(())
    }

    /// Returns the page's plan, and the rolled back canary that it skips.
    async fn plan(&self, message: &PageMessage) -> Result<(ReadPlan<'_>, Option<TriedEngine>), PlanError> {
        let config = self.engines.config();
        let plan = config.plan(&message.read_as)?;
        let first = &plan.first.engine;
        let rolled_back_at = if plan.is_canary { self.engines.guard(first).rolled_back_at() } else { None };
        let Some(rolled_back_at) = rolled_back_at else { return Ok((plan, None)) };
        if self.stays_with_canary(first, message, rolled_back_at).await? {
            return Ok((plan, None));
        }
        let skipped =
            TriedEngine { engine: first.clone(), why: FallbackReason::Unavailable, code: None, confidence: None };
        let without_canary = ReadAs { engine: None, ..message.read_as.clone() };
        Ok((config.plan(&without_canary)?, Some(skipped)))
    }

    /// Returns whether a page's document stays with a canary that was rolled back.
    async fn stays_with_canary(
        &self,
        canary: &EngineName,
        message: &PageMessage,
        rolled_back_at: UnixMillis,
    ) -> Result<bool, PlanError> {
        let id = message.page;
        let key = (id.task_id, id.document, canary.clone());
        if let Some(stays) = self.lock_decided().get(&key) {
            return Ok(*stays);
        }
        let pages = PageBatches::of_document(&self.backend, id.task_id, id.document).collect().await;
        let pages = pages.map_err(|error| {
            warn!(task.id = %id.task_id, %error, "cannot read a task's pages; the page is postponed");
            PlanError::Undecided(RETRY_DELAY)
        })?;
        let grace_period = self.settings.page_timeout + STATUS_DELAY;
        let stays = match document_owner(&pages, id.document, rolled_back_at, grace_period, now()) {
            DocumentOwner::Canary => true,
            DocumentOwner::Stable => false,
            DocumentOwner::Undecided(wait) => return Err(PlanError::Undecided(wait.min(RETRY_DELAY))),
        };
        let mut decided = self.lock_decided();
        if decided.len() >= MAX_DECIDED {
            decided.clear();
        }
        decided.insert(key, stays);
        Ok(stays)
    }

    fn lock_decided(&self) -> MutexGuard<'_, HashMap<(TaskId, u32, EngineName), bool>> {
        self.decided.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the outcome of the plan's first engine, with the lines of the engines for other scripts; of the fallback
    /// if it was needed; and whether the thread of an engine for other scripts is lost.
    async fn ask_engines(
        &self,
        plan: &ReadPlan<'_>,
        image: PageImage,
        mode: &Mode,
    ) -> (EngineOutcome, Option<EngineOutcome>, bool) {
        let warnings = image.warnings().to_vec();
        let image = Arc::new(image);
        // Without another engine the first gets the only reference to the image, and does not have to clone it.
        let kept = (plan.fallback.is_some() || !plan.script_routes.is_empty()).then(|| Arc::clone(&image));
        let mut is_lost = false;
        let mut first = self.engines.guard(&plan.first.engine).read(image, mode).await.with_warnings(&warnings);
        if let (EngineOutcome::Text(text), Some(image)) = (&mut first, &kept) {
            is_lost = self.read_scripts(plan, text, image, mode).await;
        }
        match plan.fallback.zip(kept) {
            Some((fallback, image)) if needs_fallback(plan, &first) => {
                let second = self.engines.guard(&fallback.engine).read(image, mode).await;
                (first, Some(second.with_warnings(&warnings)), is_lost)
            }
            _ => (first, None, is_lost),
        }
    }

    /// Has the engines for other scripts read the lines that the first engine cannot read. Returns whether the thread
    /// of one of them is lost.
    async fn read_scripts(
        &self,
        plan: &ReadPlan<'_>,
        text: &mut PageText,
        image: &Arc<PageImage>,
        mode: &Mode,
    ) -> bool {
        let mut is_lost = false;
        let unreadable = unreadable_scripts(text);
        for route in plan.script_routes {
            if route.primary == plan.first.engine || route.scripts.is_disjoint(&unreadable) {
                continue;
            }
            match self.engines.guard(&route.primary).read(Arc::clone(image), mode).await {
                EngineOutcome::Text(other) => merge_scripts(text, &other, &route.scripts),
                other => {
                    is_lost |= is_thread_lost(&other);
                    text.tried.push(tried(route.primary.clone(), &other));
                }
            }
        }
        is_lost
    }

    fn attempts(&self, attempt: u32) -> AttemptBudget {
        let max_attempts = self.backend.queue(QueueName::Pages).settings().max_receives;
        AttemptBudget { attempt, max_attempts, backoff: self.settings.backoff(attempt) }
    }

    /// Applies the task's redaction policy. The text that was read goes no further than this.
    async fn redact(&self, message: &PageMessage, text: Box<PageText>) -> Result<Box<PageText>, Failure> {
        match &message.redact {
            Some(policy) => redact::redact_text(policy.clone(), text, self.settings.page_timeout).await,
            None => Ok(text),
        }
    }

    async fn carry_out(
        &self,
        page: InFlight<()>,
        plan: &ReadPlan<'_>,
        skipped: Option<TriedEngine>,
        decision: PageDecision,
    ) {
        let read = match decision {
            PageDecision::Complete(mut text) => {
                text.tried.splice(0..0, skipped);
                self.redact(&page.message, text).await
            }
            PageDecision::Fail(failure) => Err(failure),
            other => return return_to_queue(page, other).await,
        };
        if let Ok(text) = &read
            && text.engine != plan.first.engine
        {
            metrics::count("PagesFallenBack", 1);
            let id = page.message.page;
            info!(task.id = %id.task_id, page.no = id.page, trace.id = page.trace_id(), engine.name = text.engine.name,
                engine.version = text.engine.version, "the fallback engine has read a page");
        }
        let review = review::review_entry(&page.message, plan, read.as_deref(), now());
        self.completer.finish(page.with(PageEnd { read, review })).await;
    }
}

fn is_thread_lost(outcome: &EngineOutcome) -> bool {
    matches!(outcome, EngineOutcome::Stuck(_) | EngineOutcome::Lost)
}

/// Returns a page that has not ended to the queue, or moves it to the dead-letter queue.
async fn return_to_queue(page: InFlight<()>, decision: PageDecision) {
    let id = page.message.page;
    let trace_id = page.trace_id();
    let attempt = page.attempt;
    let returned = match decision {
        PageDecision::Postpone(delay) => {
            info!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, delay_ms = delay.as_millis() as u64,
                "page postponed: no engine accepts it at present");
            page.lease.requeue(delay).await
        }
        PageDecision::Retry(delay) => {
            warn!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, delivery.attempt = attempt,
                delay_ms = delay.as_millis() as u64, "page released for a retry: its engine did not respond");
            page.lease.release(delay).await
        }
        PageDecision::DeadLetter(reason) => {
            warn!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, delivery.attempt = attempt, reason,
                "page dead-lettered: its attempts are spent and no engine responded");
            page.lease.dead_letter(&reason).await
        }
        // The lease expires after the process has ended.
        PageDecision::Abandon | PageDecision::Complete(_) | PageDecision::Fail(_) => return,
    };
    metrics::count("PagesPutBack", 1);
    if let Err(error) = returned {
        warn!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, %error,
            "cannot return a page to the queue; it returns when its lease expires");
    }
}
