//! The transport to one engine: a channel to a thread in this process, an HTTP server, or a program.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use quire_document::PageImage;
use quire_fair_share::current_tenant;
use quire_openai_engine::{OpenAiEngine, OpenAiEngineError, OpenAiEngineSettings};
use quire_routes::{EngineEntry, OpenAiEntry, TesseractEntry};
use quire_tasks::{EngineName, Failure, FailureCode, Mode, PageText};
use quire_tesseract_engine::{TesseractEngine, TesseractError, TesseractSettings};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// Pages in flight beyond a server's concurrency: they are ready when a request ends.
const SERVER_READY_PAGES: u32 = 2;
/// The most bytes of memory of a `tesseract` process. An A4 page at 300 dpi needs 200 MB.
const PROCESS_MEMORY: u64 = 2 << 30;

/// The way to one engine.
#[derive(Debug)]
pub(crate) enum EngineTransport {
    /// An engine in this process, on its own thread.
    Local {
        requests: mpsc::Sender<PageRequest>,
        /// Canceled when the thread hangs or has died.
        lost: CancellationToken,
    },
    /// An engine on a server.
    Remote(Box<OpenAiEngine>),
    /// A program that is started for each page.
    Program(Box<TesseractEngine>),
}

/// A request to a local engine to read one page.
#[derive(Debug)]
pub(crate) struct PageRequest {
    /// The tenant of the page, by which engines take turns.
    pub(crate) tenant: Arc<str>,
    pub(crate) image: Arc<PageImage>,
    pub(crate) mode: Mode,
    pub(crate) reply: oneshot::Sender<EngineReply>,
}

/// An engine's reply to a [`PageRequest`].
pub(crate) type EngineReply = Result<EngineReading, TransportError>;

/// A page as an engine has read it.
#[derive(Debug)]
pub(crate) struct EngineReading {
    pub(crate) text: PageText,
    /// The time for reading the page, without the time in the engine's queue.
    pub(crate) duration: Duration,
}

/// Why an engine has not read a page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TransportError {
    /// The engine failed on this page. Decision: the page fails with this engine, and the circuit breaker counts it.
    Failed(Failure),
    /// The engine does not accept this page, or replied with something invalid. Decision: the page fails with this
    /// engine; the circuit breaker does not count it.
    Refused(Failure),
    /// The engine is overloaded. Decision: retry later without spending an attempt.
    Throttled { wait: Option<Duration> },
    /// The engine does not respond. Decision: the circuit breaker counts it, and the page is retried. If the engine may
    /// have failed because of this page (`saw_page`), that spends an attempt.
    Unavailable { why: String, saw_page: bool },
    /// Another page made the engine panic. Decision: retry the page alone.
    Interrupted,
    /// The engine's thread hangs on this page. Decision: fail the page and end the process.
    Stuck(Failure),
    /// The engine's thread hangs on another page, or on one of several. Decision: end the process; the page is retried
    /// alone after the next receive.
    Lost,
}

impl EngineTransport {
    /// Connects to the engine's server and returns how many pages in flight keep it busy.
    ///
    /// # Errors
    /// When the URL is invalid or the environment variable with the API key is not set.
    pub(crate) fn to_server(entry: &EngineEntry, server: &OpenAiEntry) -> anyhow::Result<(Self, u32)> {
        let engine = &entry.engine;
        let settings = OpenAiEngineSettings {
            engine: engine.clone(),
            url: server.url.parse().with_context(|| format!("{engine}: invalid url"))?,
            model: server.model.clone(),
            dialect: server.dialect,
            concurrency: server.concurrency,
            timeout: Duration::from_secs(server.timeout_secs),
            api_key: api_key(engine, server)?,
            max_tokens: server.max_tokens,
            prompts: server.prompts.iter().map(|(mode, prompt)| (mode.as_str().to_owned(), prompt.clone())).collect(),
        };
        let remote = OpenAiEngine::new(settings).with_context(|| engine.to_string())?;
        let target_pages = remote.concurrency() as u32 + SERVER_READY_PAGES;
        Ok((Self::Remote(Box::new(remote)), target_pages))
    }

    /// Prepares a program, and returns how many pages in flight keep it busy. If it is not installed, logs what to
    /// install: the other engines are still of use.
    pub(crate) async fn to_program(entry: &EngineEntry, program: &TesseractEntry) -> (Self, u32) {
        let settings = TesseractSettings {
            engine: entry.engine.clone(),
            program: program.program.clone(),
            languages: program.languages.clone(),
            concurrency: program.concurrency,
            timeout: Duration::from_secs(program.timeout_secs),
            memory: PROCESS_MEMORY,
        };
        let tesseract = TesseractEngine::start(settings).await;
        if let Some(why) = tesseract.missing() {
            error!(engine.name = entry.engine.name, engine.version = entry.engine.version, why, "engine not installed");
        }
        (Self::Program(Box::new(tesseract)), program.concurrency as u32)
    }

    /// Has the engine read a page and waits for its reply.
    pub(crate) async fn read(&self, image: Arc<PageImage>, mode: &Mode) -> EngineReply {
        match self {
            Self::Local { requests, lost } => tokio::select! {
                // Biased: a reply that was sent just before the thread was lost still counts.
                biased;
                reply = send_request(requests, image, mode.clone()) => reply,
                () = lost.cancelled() => Err(TransportError::Lost),
            },
            Self::Remote(remote) => {
                let started = Instant::now();
                let text = remote.read(&image, mode).await.map_err(|error| transport_error(&error))?;
                Ok(EngineReading { text, duration: started.elapsed() })
            }
            Self::Program(program) => {
                let started = Instant::now();
                let text = program.read(&image).await.map_err(|error| program_error(&error))?;
                Ok(EngineReading { text, duration: started.elapsed() })
            }
        }
    }
}

async fn send_request(requests: &mpsc::Sender<PageRequest>, image: Arc<PageImage>, mode: Mode) -> EngineReply {
    let (reply, replied) = oneshot::channel();
    let tenant = current_tenant().unwrap_or_default();
    requests.send(PageRequest { tenant, image, mode, reply }).await.map_err(|_| TransportError::Lost)?;
    replied.await.map_err(|_| TransportError::Lost)?
}

/// Returns the API key from the environment variable that the entry names; `None` if it names none.
fn api_key(engine: &EngineName, server: &OpenAiEntry) -> anyhow::Result<Option<String>> {
    let Some(name) = &server.api_key_env else { return Ok(None) };
    match std::env::var(name) {
        Ok(key) if !key.is_empty() => Ok(Some(key)),
        _ => Err(anyhow!("{engine}: the environment variable {name}, which must hold its API key, is not set")),
    }
}

fn transport_error(error: &OpenAiEngineError) -> TransportError {
    match error {
        OpenAiEngineError::Throttled { retry_after, .. } => TransportError::Throttled { wait: *retry_after },
        OpenAiEngineError::Unavailable { saw_page, .. } => {
            TransportError::Unavailable { why: error.to_string(), saw_page: *saw_page }
        }
        OpenAiEngineError::Refused { .. }
        | OpenAiEngineError::InvalidResponse { .. }
        | OpenAiEngineError::NotOffered(_) => TransportError::Refused(error.failure()),
    }
}

fn program_error(error: &TesseractError) -> TransportError {
    match error {
        TesseractError::NotInstalled(why) => TransportError::Unavailable { why: why.clone(), saw_page: false },
        TesseractError::Failed(why) => {
            warn!(why, "tesseract failed on a page");
            TransportError::Failed(error.failure())
        }
        TesseractError::TimedOut(_) => TransportError::Failed(error.failure()),
    }
}

/// Returns the failure of a page on which an engine panicked.
pub(crate) fn panic_failure() -> Failure {
    Failure::new(FailureCode::ModelFailed, "the engine panicked on this page")
}

/// Returns the failure of a page on which an engine exceeded its timeout.
pub(crate) fn timeout_failure(limit: Duration) -> Failure {
    Failure::new(FailureCode::TimedOut, format!("reading it took longer than {} s", limit.as_secs()))
}
