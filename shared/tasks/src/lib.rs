//! What a task is: identifiers, states, messages, the result schema and the object keys.
//!
//! Pure data and pure rules: no I/O, no clock, no async. Everything that two functions must agree on is said here once.

mod callback;
mod delivery;
mod document;
mod engine;
mod failure;
mod id;
mod key;
mod message;
mod mode;
mod page_text;
mod redact;
mod review;
mod state;
mod task;
mod trace;

pub use callback::{Callback, CallbackUpdate, PROGRESS_INTERVAL, Payload, Progress};
pub use delivery::{AttemptEnding, DeliveryAttempt, WebhookId};
pub use document::{Document, DocumentState, Format, Source, Split};
pub use engine::{EngineName, InvalidEngineName, ReadAs};
pub use failure::{Failure, FailureCode};
pub use id::{InvalidId, PageRef, TaskId, Tenant, UnixMillis};
pub use key::Key;
pub use message::{CallbackMessage, DocumentMessage, Job, Message, PageMessage, UnreadableMessage};
pub use mode::{InvalidMode, MAX_KEYS, MAX_WORD_CHARS, Mode, ModeName};
pub use page_text::{Correction, Line, PageText, Polygon, Tried, Warning, WhyNot, average_confidence};
pub use redact::{MAX_PATTERN_BYTES, MAX_PATTERNS, RedactKind, RedactPattern, RedactPolicy, Redaction};
pub use review::{Claim, ReviewEntry, ReviewReason};
pub use state::{CallbackState, Counts, PageStatus, TaskStatus};
pub use task::{DEFAULT_RETENTION, MAX_RETENTION, MIN_RETENTION, Outcome, Page, Task};
pub use trace::{InvalidTrace, TraceParent};

/// Whether a value is what is not written down.
fn is_usual<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
