//! What a task is: identifiers, states, messages, the result schema and the object keys.
//!
//! Pure data and pure rules: no I/O, no clock, no async. Everything that two functions must agree on is said here once.

mod document;
mod failure;
mod id;
mod key;
mod message;
mod page_text;
mod state;
mod task;
mod trace;

pub use document::{Document, DocumentState, Format, Source, Split};
pub use failure::{Failure, FailureCode};
pub use id::{InvalidId, PageRef, TaskId, Tenant, UnixMillis};
pub use key::Key;
pub use message::{CallbackMessage, DocumentMessage, Message, PageMessage, UnreadableMessage};
pub use page_text::{EngineName, Line, PageText, Polygon, average_confidence};
pub use state::{CallbackState, Counts, PageStatus, TaskStatus};
pub use task::{Callback, CallbackUpdate, Outcome, Page, Task};
pub use trace::{InvalidTrace, TraceParent};
