//! The way from a page to its text through one engine.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use quire_document::PageImage;
use quire_openai_engine::{OpenAiEngine, OpenAiEngineError, OpenAiEngineSettings};
use quire_routes::{Dialect, EngineEntry, OpenAiEntry};
use quire_tasks::{Failure, FailureCode, Mode, PageText};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// An engine, from the side of those who ask it.
#[derive(Debug)]
pub(crate) enum Lane {
    /// In this process, on a thread of its own.
    Local {
        asks: mpsc::Sender<Ask>,
        /// Canceled when the thread does not come back any more.
        lost: CancellationToken,
    },
    /// On a server.
    Remote(Box<OpenAiEngine>),
}

/// A page for an engine in this process.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) image: Arc<PageImage>,
    pub(crate) mode: Mode,
    pub(crate) answer: oneshot::Sender<Answer>,
}

pub(crate) type Answer = Result<Reading, LaneError>;

/// What an engine made of a page.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) text: PageText,
    /// How long it took, without the wait for its turn.
    pub(crate) took: Duration,
}

/// Why an engine has not read a page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LaneError {
    /// It failed on this page. Decision: the page fails with this engine; it counts against the engine.
    Failed(Failure),
    /// It does not take this page, or made nonsense of it. Decision: the page fails with this engine, which is not at fault.
    Refused(Failure),
    /// It has too much to do. Decision: wait; nobody is at fault.
    Throttled { wait: Option<Duration> },
    /// It does not read at all. Decision: it counts against the engine; the page may be tried again, and where the engine
    /// may have failed on this very page, that was an attempt.
    Unavailable { why: String, saw_page: bool },
    /// Another page broke it off. Decision: the page is tried again, alone.
    Interrupted,
    /// Its thread does not come back from this very page. Decision: the page fails, and the process must end.
    Stuck(Failure),
    /// Its thread does not come back from another page, or from one of several. Decision: the process must end; whoever
    /// receives the page next reads it alone.
    Lost,
}

impl Lane {
    /// Reads a page.
    pub(crate) async fn read(&self, image: Arc<PageImage>, mode: &Mode) -> Answer {
        match self {
            Self::Local { asks, lost } => tokio::select! {
                // What a thread said last comes before that it is lost.
                biased;
                answer = exchange(asks, image, mode.clone()) => answer,
                () = lost.cancelled() => Err(LaneError::Lost),
            },
            Self::Remote(remote) => {
                let started = Instant::now();
                let text = remote.read(&image, mode).await.map_err(|error| from_remote(&error))?;
                Ok(Reading { text, took: started.elapsed() })
            }
        }
    }
}

async fn exchange(asks: &mpsc::Sender<Ask>, image: Arc<PageImage>, mode: Mode) -> Answer {
    let (answer, answered) = oneshot::channel();
    asks.send(Ask { image, mode, answer }).await.map_err(|_| LaneError::Lost)?;
    answered.await.map_err(|_| LaneError::Lost)?
}

/// A lane to a server, and how many pages keep it busy.
pub(crate) fn to_server(entry: &EngineEntry, server: &OpenAiEntry) -> anyhow::Result<(Lane, u32)> {
    let engine = &entry.engine;
    let api_key = server.api_key_env.as_ref().map(|name| {
        let unset = || anyhow!("{engine}: the environment variable {name}, which is to hold its key, is not set");
        std::env::var(name).ok().filter(|key| !key.is_empty()).with_context(unset)
    });
    let settings = OpenAiEngineSettings {
        engine: engine.clone(),
        url: server.url.parse().with_context(|| format!("{engine}: its url is none"))?,
        model: server.model.clone(),
        dialect: match server.dialect {
            Dialect::Plain => quire_openai_engine::ApiDialect::Plain,
            Dialect::Vllm => quire_openai_engine::ApiDialect::Vllm,
        },
        concurrency: server.concurrency,
        timeout: Duration::from_secs(server.timeout_secs),
        api_key: api_key.transpose()?,
        max_tokens: server.max_tokens,
        prompts: server.prompts.iter().map(|(mode, prompt)| (mode.as_str().to_owned(), prompt.clone())).collect(),
    };
    let remote = OpenAiEngine::new(settings).with_context(|| engine.to_string())?;
    // Two more are ready for those that end.
    let appetite = remote.concurrency() as u32 + 2;
    Ok((Lane::Remote(Box::new(remote)), appetite))
}

fn from_remote(error: &OpenAiEngineError) -> LaneError {
    match error {
        OpenAiEngineError::Throttled { retry_after, .. } => LaneError::Throttled { wait: *retry_after },
        OpenAiEngineError::Unavailable { saw_page, .. } => {
            LaneError::Unavailable { why: error.to_string(), saw_page: *saw_page }
        }
        OpenAiEngineError::Refused { .. }
        | OpenAiEngineError::InvalidResponse { .. }
        | OpenAiEngineError::NotOffered(_) => LaneError::Refused(error.failure()),
    }
}

/// An engine's panic is a page's failure.
pub(crate) fn panicked() -> Failure {
    Failure::new(FailureCode::ModelFailed, "the engine panicked on this page")
}

/// What is said of a page whose engine does not come back.
pub(crate) fn stuck(limit: Duration) -> Failure {
    Failure::new(FailureCode::TimedOut, format!("reading it took longer than {} s", limit.as_secs()))
}
