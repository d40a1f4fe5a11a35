//! The interface of engines that read many pages concurrently.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use quire_document::PageImage;
use quire_tasks::{EngineName, Failure, FailureCode, Mode, PageText};

use crate::{instruction::Instruction, stop_reason::StopReason};

/// A page to read, with its options.
#[derive(Debug, Clone)]
pub struct PageJob<'p> {
    /// Identifies the page in [`PageFeed::ended`].
    pub ticket: u64,
    /// The image of the page.
    pub image: Cow<'p, PageImage>,
    /// Requested output.
    pub mode: Mode,
    /// Overrides the model's prompt for the mode. The answer is parsed for the mode all the same.
    pub instruction: Option<Instruction>,
    /// Token limit. Default: the model's own limit for the page, which is also the maximum.
    pub max_tokens: Option<usize>,
    /// Deadline, after which the page ends with [`ReadError::DeadlinePassed`]. Default: none.
    pub deadline: Option<Instant>,
    /// Cancellation flag; set by the caller.
    pub canceled: Arc<AtomicBool>,
}

impl<'p> PageJob<'p> {
    /// Creates a job without a deadline and with default limits.
    pub fn new(ticket: u64, image: &'p PageImage, mode: Mode) -> Self {
        let image = Cow::Borrowed(image);
        let canceled = Arc::default();
        Self { ticket, image, mode, instruction: None, max_tokens: None, deadline: None, canceled }
    }

    /// Returns why the job must not continue, if it was canceled or its deadline has passed.
    pub fn stop_cause(&self, now: Instant) -> Option<ReadError> {
        if self.canceled.load(Ordering::Relaxed) {
            return Some(ReadError::Canceled);
        }
        self.deadline.is_some_and(|deadline| deadline <= now).then_some(ReadError::DeadlinePassed)
    }
}

/// Source of pages and sink for results. The engine takes the next page while others are in flight, so that a free slot
/// is refilled immediately.
pub trait PageFeed<'p> {
    /// Returns the next page. With `wait`, no page is in flight: the call may block, and `None` stops the engine.
    /// Without it, `None` means that no page is available now.
    fn next(&mut self, wait: bool) -> Option<PageJob<'p>>;

    /// Reports the result of a page. Called exactly once for every page, in any order.
    fn ended(&mut self, ticket: u64, outcome: Result<PageReading, ReadError>);
}

/// An engine that reads pages concurrently, without micro-batches: a finished page frees its slot for the next one
/// immediately.
pub trait PageStream: Send {
    /// Returns the name and version in results.
    fn name(&self) -> EngineName;

    /// Maximum number of pages in flight.
    fn slots(&self) -> usize;

    /// Reads pages until the feed returns `None` while it may block.
    fn serve(&mut self, feed: &mut dyn PageFeed<'_>);
}

/// The result of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct PageReading {
    /// The parsed page.
    pub page: PageText,
    /// Generated tokens, including the end token.
    pub tokens: Vec<u32>,
    /// Why generation stopped.
    pub end: StopReason,
}

/// Why a page could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The caller canceled the page. Decision: drop it.
    #[error("the page was canceled")]
    Canceled,
    /// The deadline has passed. Decision: retry.
    #[error("the deadline of the page has passed")]
    DeadlinePassed,
    /// The aspect ratio exceeds the model's limit. Decision: fail the page permanently.
    #[error("the aspect ratio of a page of {width} × {height} pixels is too large")]
    TooNarrow {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The prompt does not fit into a slot. Decision: fail the page permanently; larger slots or a lower pixel limit
    /// would help.
    #[error("the prompt of the page has {tokens} tokens, but a slot has only {capacity}")]
    TooManyTokens {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens of a slot.
        capacity: usize,
    },
    /// The model has no prompt for the mode, or the prompt cannot be tokenized. Decision: refuse the request.
    #[error("no prompt for the page: {0}")]
    Instruction(String),
    /// The model run failed; with the message of the error. Decision: retry.
    #[error("{0}")]
    Model(String),
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let code = match error {
            ReadError::Canceled | ReadError::DeadlinePassed => FailureCode::TimedOut,
            ReadError::TooNarrow { .. } => FailureCode::UnreadablePage,
            ReadError::TooManyTokens { .. } => FailureCode::TooManyPixels,
            ReadError::Instruction(_) => FailureCode::NotOffered,
            ReadError::Model(_) => FailureCode::ModelFailed,
        };
        Self::new(code, error.to_string())
    }
}
