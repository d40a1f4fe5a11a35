//! Reading a page: whom it is asked of, and what becomes of it by what they say.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::bail;
use quire_document::PageImage;
use quire_platform::{Backend, QueueName, retry_with_backoff};
use quire_routes::{EngineEntry, Plan};
use quire_tasks::{
    EngineName, Failure, FailureCode, FallbackReason, Mode, PageMessage, PageText, ReadAs, TaskId, TriedEngine,
    UnixMillis,
};
use quire_telemetry::metrics;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    Settings,
    board::now,
    canary::{Whose, whose},
    complete::Completer,
    engines::Engines,
    gate::Answer,
    in_flight::{End, InFlight},
    redact, review,
    verdict::{Tries, Verdict, asks_another, verdict},
};

/// When a page is planned again whose task could not be looked at.
const AFTER_AN_ERROR: Duration = Duration::from_secs(5);
/// A worker may give a canary a page for so long after it was rolled back: until it has looked at the board, and some.
const BOARD_DELAY: Duration = Duration::from_secs(10);
/// Documents of canaries that were rolled back: whose they are is remembered for so many.
const MOST_DECIDED: usize = 10_000;

/// The step between rendering and completing. Cheap to share.
#[derive(Debug)]
pub(crate) struct Reader {
    backend: Backend,
    engines: Arc<Engines>,
    completer: Completer,
    settings: Settings,
    /// Whether a document of a rolled back canary stays with it. Once it is said it does not change.
    decided: Mutex<HashMap<(TaskId, u32, EngineName), bool>>,
}

/// Why a page is not asked of anybody.
enum Unplanned {
    NotOffered(Failure),
    Later(Duration),
}

/// Reads pages side by side: their number is bounded by what is in hand. When an engine's thread is lost, takes no more,
/// waits for what the others read, and fails.
pub(crate) async fn run(
    reader: &Arc<Reader>,
    mut pages: mpsc::Receiver<InFlight<PageImage>>,
    stopping: CancellationToken,
) -> anyhow::Result<()> {
    let mut reading = JoinSet::new();
    let mut lost = None;
    while lost.is_none() {
        tokio::select! {
            page = pages.recv() => {
                let Some(page) = page else { break };
                let reader = Arc::clone(reader);
                reading.spawn(async move { reader.page(page).await });
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
    lost.map_or(Ok(()), Err)
}

impl Reader {
    pub(crate) fn new(backend: Backend, engines: Arc<Engines>, completer: Completer, settings: Settings) -> Self {
        Self { backend, engines, completer, settings, decided: Mutex::default() }
    }

    /// Reads a page and ends it, or puts it back.
    ///
    /// # Errors
    /// When an engine's thread is lost; the process must end then.
    async fn page(&self, page: InFlight<PageImage>) -> anyhow::Result<()> {
        let (image, page) = page.split();
        let (plan, before) = match self.plan(&page.message).await {
            Ok(planned) => planned,
            Err(Unplanned::NotOffered(failure)) => {
                self.completer.finish(page.with(failure.into())).await;
                return Ok(());
            }
            Err(Unplanned::Later(delay)) => {
                put_back(page, Verdict::PutOff(delay)).await;
                return Ok(());
            }
        };
        let (first, second) = self.ask(&plan, image, &page.message.read_as.mode).await;
        let is_lost = [Some(&first), second.as_ref()].into_iter().flatten().any(is_lost);
        let verdict = verdict(&plan, first, second, self.tries(page.attempt), Instant::now());
        self.carry_out(page, &plan, before, verdict).await;
        if is_lost {
            bail!("an engine did not come back within {} s a page", self.settings.page_limit.as_secs());
        }
        Ok(())
    }

    /// Whom the page is asked of, and who should have been but is not.
    async fn plan(&self, message: &PageMessage) -> Result<(Plan<'_>, Vec<TriedEngine>), Unplanned> {
        let not_offered = |error: quire_routes::NotOffered| {
            Unplanned::NotOffered(Failure::new(FailureCode::NotOffered, error.to_string()))
        };
        let config = self.engines.config();
        let plan = config.plan(&message.read_as).map_err(not_offered)?;
        let first = &plan.first.engine;
        let rolled_back = self.engines.gate(first).rolled_back().filter(|_| plan.is_canary);
        let Some(at) = rolled_back else { return Ok((plan, Vec::new())) };
        if self.stays_with(first, message, at).await? {
            return Ok((plan, Vec::new()));
        }
        let tried =
            TriedEngine { engine: first.clone(), why: FallbackReason::Unavailable, code: None, confidence: None };
        let usual = ReadAs { engine: None, ..message.read_as.clone() };
        Ok((config.plan(&usual).map_err(not_offered)?, vec![tried]))
    }

    /// Whether a page's document stays with a canary that was rolled back.
    async fn stays_with(&self, engine: &EngineName, page: &PageMessage, at: UnixMillis) -> Result<bool, Unplanned> {
        let id = page.page;
        let key = (id.task_id, id.document, engine.clone());
        if let Some(stays) = self.decided.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(*stays);
        }
        let pages = retry_with_backoff(|| self.backend.tasks.pages(id.task_id)).await.map_err(|error| {
            warn!(task.id = %id.task_id, %error, "a task's pages could not be looked at");
            Unplanned::Later(AFTER_AN_ERROR)
        })?;
        let settled = self.settings.page_limit + BOARD_DELAY;
        let stays = match whose(&pages, id.document, at, settled, now()) {
            Whose::Canary => true,
            Whose::Stable => false,
            Whose::Unknown(wait) => return Err(Unplanned::Later(wait.min(AFTER_AN_ERROR))),
        };
        let mut decided = self.decided.lock().unwrap_or_else(PoisonError::into_inner);
        if decided.len() >= MOST_DECIDED {
            decided.clear();
        }
        decided.insert(key, stays);
        Ok(stays)
    }

    async fn ask(&self, plan: &Plan<'_>, image: PageImage, mode: &Mode) -> (Answer, Option<Answer>) {
        let image = Arc::new(image);
        let again: Option<(&EngineEntry, _)> = plan.fallback.map(|fallback| (fallback, Arc::clone(&image)));
        let first = self.engines.gate(&plan.first.engine).read(image, mode).await;
        let Some((fallback, image)) = again.filter(|_| asks_another(plan, &first)) else { return (first, None) };
        let second = self.engines.gate(&fallback.engine).read(image, mode).await;
        (first, Some(second))
    }

    fn tries(&self, attempt: u32) -> Tries {
        let most = self.backend.queue(QueueName::Pages).settings().max_receives;
        Tries { attempt, most, back_off: self.settings.back_off(attempt) }
    }

    /// What of a text may be kept: nothing else of it goes further than this.
    async fn redacted(&self, message: &PageMessage, text: Box<PageText>) -> Result<Box<PageText>, Failure> {
        let Some(policy) = &message.redact else { return Ok(text) };
        redact::redacted(policy.clone(), text, self.settings.page_limit).await
    }

    async fn carry_out(&self, page: InFlight<()>, plan: &Plan<'_>, before: Vec<TriedEngine>, verdict: Verdict) {
        let read = match verdict {
            Verdict::Read(text) => self.redacted(&page.message, with_tried(text, before)).await,
            Verdict::Failed(failure) => Err(failure),
            other => return put_back(page, other).await,
        };
        if let Ok(text) = &read
            && text.engine != plan.first.engine
        {
            metrics::count("PagesFallenBack", 1);
            let id = page.message.page;
            info!(task.id = %id.task_id, page.no = id.page, trace.id = page.trace_id(), engine.name = text.engine.name,
                engine.version = text.engine.version, "another engine than the first has read a page");
        }
        let review = review::entry(&page.message, plan, read.as_deref(), now());
        self.completer.finish(page.with(End { read, review })).await;
    }
}

fn with_tried(mut text: Box<PageText>, mut before: Vec<TriedEngine>) -> Box<PageText> {
    before.append(&mut text.tried);
    text.tried = before;
    text
}

fn is_lost(answer: &Answer) -> bool {
    matches!(answer, Answer::Stuck(_) | Answer::Lost)
}

/// A page that is not ended goes where others find it.
async fn put_back(page: InFlight<()>, verdict: Verdict) {
    let (id, trace_id, attempt) = (page.message.page, page.trace_id(), page.attempt);
    let put_back = match verdict {
        Verdict::PutOff(delay) => {
            info!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, delay_ms = delay.as_millis() as u64,
                "no engine may be asked for a page: it is put off");
            page.lease.requeue(delay).await
        }
        Verdict::GiveBack(delay) => {
            warn!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, delivery.attempt = attempt,
                delay_ms = delay.as_millis() as u64, "an engine did not answer for a page: it is given back");
            page.lease.release(delay).await
        }
        Verdict::DeadLetter(reason) => {
            warn!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, delivery.attempt = attempt, reason,
                "no engine has answered for a page in all its attempts");
            page.lease.dead_letter(&reason).await
        }
        // Its lease runs out when the process has ended.
        Verdict::Leave | Verdict::Read(_) | Verdict::Failed(_) => return,
    };
    metrics::count("PagesPutBack", 1);
    if let Err(error) = put_back {
        warn!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, %error,
            "a page could not be put back; it comes again when its lease has run out");
    }
}
