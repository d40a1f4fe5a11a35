//! What a task is: identifiers, states, messages, the result schema and the object keys.
//!
//! Pure data and pure rules: no I/O, no clock, no async. Everything that two functions must agree on is said here once.

mod document;
mod engine;
mod failure;
mod id;
mod key;
mod message;
mod mode;
mod page_text;
mod review;
mod state;
mod task;
mod trace;

pub use document::{Document, DocumentState, Format, Source, Split};
pub use engine::{EngineName, InvalidEngineName, ReadAs};
pub use failure::{Failure, FailureCode};
pub use id::{InvalidId, PageRef, TaskId, Tenant, UnixMillis};
pub use key::Key;
pub use message::{CallbackMessage, DocumentMessage, Message, PageMessage, UnreadableMessage};
pub use mode::{InvalidMode, MAX_KEYS, MAX_WORD_CHARS, Mode, ModeName};
pub use page_text::{Correction, Line, PageText, Polygon, Tried, Warning, WhyNot, average_confidence};
pub use review::{Claim, ReviewEntry, ReviewReason};
pub use state::{CallbackState, Counts, PageStatus, TaskStatus};
pub use task::{Callback, CallbackUpdate, Outcome, Page, Task};
pub use trace::{InvalidTrace, TraceParent};
