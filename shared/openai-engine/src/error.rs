//! What can go wrong between a page and a server's answer, by what to do next.

use std::time::Duration;

use quire_ocr::InstructionError;
use quire_tasks::{Failure, FailureCode};

/// Why a server has not read a page. All but the last two are what is left after patient trying.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// It has more to do than it takes on. Decision: wait; it is not broken, so it counts neither against the page nor
    /// against the engine.
    #[error("{host} has too much to do")]
    Throttled {
        /// Host and port.
        host: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It is not there, it is broken, or it is not what the configuration says. Decision: count it against the engine and
    /// ask another; the page is not at fault.
    #[error("{host} does not read: {why}")]
    Unavailable {
        /// Host and port.
        host: String,
        /// What is the matter.
        why: String,
        /// Whether it may have looked at the page, which then may be what it failed on.
        saw_page: bool,
    },
    /// It does not take this page: too many tokens, say. Decision: the page fails with this engine; trying again does not
    /// help.
    #[error("{host} refused the page with status {status}")]
    Refused {
        /// Host and port.
        host: String,
        /// Of its answer.
        status: u16,
    },
    /// It answered, and not with a page's text. Decision: the page fails with this engine; trying again may help.
    #[error("{host} gave no answer that makes sense: {flaw}")]
    BadAnswer {
        /// Host and port.
        host: String,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// There is no instruction for what is asked. Decision: the page fails, and whoever asked is told.
    #[error(transparent)]
    NotOffered(#[from] InstructionError),
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Neither JSON nor an event stream.
    #[error("it is neither JSON nor an event stream")]
    Kind,
    /// Not a chat completion.
    #[error("it is no chat completion")]
    Form,
    /// It broke off.
    #[error("it broke off")]
    CutShort,
    /// It has more bytes than its tokens can take.
    #[error("it does not end")]
    Endless,
    /// It was still growing when the page's time was over.
    #[error("it was not complete in time")]
    TooSlow,
    /// An error of the server, which read other pages meanwhile.
    #[error("status {0}, while other pages are read")]
    Status(u16),
}

impl RemoteError {
    /// Whether it is the server that is at fault rather than the page.
    pub const fn is_about_the_server(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Unavailable { .. })
    }

    /// The same for the customer, who knows nothing of servers.
    pub fn failure(&self) -> Failure {
        let (code, message) = match self {
            Self::Throttled { .. } => (FailureCode::ModelFailed, "the engine has too much to do".to_owned()),
            Self::Unavailable { .. } => (FailureCode::ModelFailed, "the engine is out of order".to_owned()),
            Self::Refused { status: 413, .. } => {
                (FailureCode::TooManyPixels, "the page is larger than the engine takes".to_owned())
            }
            Self::Refused { .. } => (FailureCode::ModelFailed, "the engine does not take this page".to_owned()),
            Self::BadAnswer { flaw: Flaw::TooSlow, .. } => {
                (FailureCode::TimedOut, "the page was not read in time".to_owned())
            }
            Self::BadAnswer { flaw, .. } => (FailureCode::ModelFailed, format!("the engine's answer is unfit: {flaw}")),
            Self::NotOffered(why) => (FailureCode::NotOffered, why.to_string()),
        };
        Failure::new(code, message)
    }
}
