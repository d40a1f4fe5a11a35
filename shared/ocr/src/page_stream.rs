//! A page to read, and what comes of it.

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

/// A page to read.
#[derive(Debug, Clone)]
pub struct PageJob<'p> {
    /// LambdaBatch back with the answer.
    pub ticket: u64,
    /// The page.
    pub image: Cow<'p, PageImage>,
    /// What is to be made of it.
    pub mode: Mode,
    /// In place of the model's own instruction for the mode; the answer is taken for one in the mode all the same.
    pub instruction: Option<Instruction>,
    /// At most so many tokens, if that is less than the model's own limit for the page.
    pub max_tokens: Option<usize>,
    /// When it is too late.
    pub deadline: Option<Instant>,
    /// Set by whoever does not want it any more.
    pub canceled: Arc<AtomicBool>,
}

impl<'p> PageJob<'p> {
    /// A page that may take as long and as many tokens as the model lets it.
    pub fn new(ticket: u64, image: &'p PageImage, mode: Mode) -> Self {
        let (image, canceled) = (Cow::Borrowed(image), Arc::default());
        Self { ticket, image, mode, instruction: None, max_tokens: None, deadline: None, canceled }
    }

    /// Why it need not be gone on with.
    pub fn stop_cause(&self, now: Instant) -> Option<ReadError> {
        if self.canceled.load(Ordering::Relaxed) {
            return Some(ReadError::Canceled);
        }
        self.deadline.is_some_and(|deadline| deadline <= now).then_some(ReadError::DeadlinePassed)
    }
}

/// Where pages come from and answers go. The reader asks for pages while others are in flight, so that a slot that
/// becomes free is filled at once.
pub trait PageFeed<'p> {
    /// The next page. With `wait`, nothing else is left to do: it may take its time, and `None` ends the reading. Else
    /// `None` means that there is none now.
    fn next(&mut self, wait: bool) -> Option<PageJob<'p>>;

    /// A page has ended. Every page that was handed out ends once, in any order.
    fn ended(&mut self, ticket: u64, outcome: Result<PageReading, ReadError>);
}

/// A way of reading pages that come and go while others are in flight (HunyuanOCR's): a page that
/// ends makes room for the next at once, so that there are no micro-batches.
pub trait PageStream: Send {
    /// What answers are signed with.
    fn name(&self) -> EngineName;

    /// How many pages are in flight at once.
    fn slots(&self) -> usize;

    /// Reads pages until the feed ends. Pages are taken from it while others are in flight.
    fn serve(&mut self, feed: &mut dyn PageFeed<'_>);
}

/// What a model made of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct PageReading {
    /// What it says, as the mode has it.
    pub page: PageText,
    /// Its tokens, the end token included.
    pub tokens: Vec<u32>,
    /// Why there are no more.
    pub end: StopReason,
}

/// Why a page has no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nobody wants it any more. Decision: drop it.
    #[error("the page was canceled")]
    Canceled,
    /// Its time is over. Decision: it may be tried again.
    #[error("the page was not read in time")]
    DeadlinePassed,
    /// No model of this kind takes it. Decision: refuse the page.
    #[error("a page of {width} × {height} pixels is too narrow to be read")]
    TooNarrow {
        /// Pixels from left to right.
        width: u32,
        /// Pixels from top to bottom.
        height: u32,
    },
    /// It does not fit into a slot. Decision: refuse the page; slots for more tokens or a lower pixel cap would take it.
    #[error("the page takes {tokens} tokens before it is read, and a slot has {capacity}")]
    TooManyTokens {
        /// What it takes.
        tokens: usize,
        /// What there is.
        capacity: usize,
    },
    /// The model has no instruction for the mode, or it cannot be written in tokens. Decision: refuse the request.
    #[error("the page cannot be asked for: {0}")]
    Instruction(String),
    /// The model failed on this page. Decision: it may be tried again.
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
