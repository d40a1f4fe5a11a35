//! The data model: identifiers, states, queue messages, results and object keys.
//!
//! Pure data and rules: no I/O, no clock, no async. Everything that two functions must agree on is defined here once.

mod api_dialect;
mod block;
mod callback;
mod delivery;
mod document;
mod engine;
mod engine_stats;
mod engine_status;
mod failure;
mod hex;
mod id;
mod list_marker;
mod message;
mod mode;
mod object_key;
mod page_text;
mod polygon;
mod redact;
mod retry_policy;
mod review;
mod rfc3339;
mod state;
mod task;
mod text_layer;
mod trace_parent;
pub mod transitions;
mod warning;
mod word;

pub use api_dialect::ApiDialect;
pub use block::{Block, BlockKind, Cell, LinePart, Table, follow_change};
pub use callback::{Callback, CallbackPayload, CallbackProgress, CallbackUpdate, PROGRESS_INTERVAL};
pub use delivery::{AttemptResult, DeliveryAttempt, WebhookId};
pub use document::{Document, DocumentFormat, DocumentSource, DocumentState, SplitDocument};
pub use engine::{EngineName, InvalidEngineName, ReadAs};
pub use engine_stats::EngineStats;
pub use engine_status::{BreakerState, EngineControl, EngineReport, EngineStatuses, OperatorNote};
pub use failure::{Failure, FailureCode};
pub use hex::to_hex;
pub use id::{InvalidId, PageRef, TaskId, Tenant, UnixMillis};
pub use list_marker::{ListMarker, list_marker};
pub use message::{CallbackMessage, DocumentJob, DocumentMessage, Message, MessageDecodeError, PageMessage};
pub use mode::{InvalidMode, MAX_FIELD_KEYS, MAX_WORD_CHARS, Mode, ModeName};
pub use object_key::ObjectKey;
pub use page_text::{Correction, FallbackReason, Line, PageText, TriedEngine, average_confidence};
pub use polygon::Polygon;
pub use redact::{MAX_PATTERN_BYTES, MAX_PATTERNS, RedactKind, RedactPattern, RedactPolicy, Redaction};
pub use retry_policy::{DEPENDENCY_RETRY_POLICY, RetryPolicy};
pub use review::{ReviewClaim, ReviewEntry, ReviewReason};
pub use state::{CallbackState, Counts, PageStatus, TaskStatus};
pub use task::{DEFAULT_RETENTION, MAX_RETENTION, MIN_RETENTION, Outcome, Page, Task};
pub use text_layer::{InvalidTextLayerPolicy, TextLayerPolicy, TextSource};
pub use trace_parent::{InvalidTrace, TraceParent};
pub use warning::{AmountCheck, HiddenContent, MAX_FONT_CHARS, MAX_FONTS, Script, Warning, WarningCode, WarningKind};
pub use word::Word;

/// Returns whether a value is the default, which is not serialized.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
