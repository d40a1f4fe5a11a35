//! What the customer is told when a task has ended, how it is signed, when it is told again, and whom we leave alone.
//!
//! Signatures and headers are those of Standard Webhooks. All of it is pure: no I/O and no clock, and randomness is
//! passed in.

#![warn(missing_docs)]

mod endpoint;
mod event;
mod payload;
mod schedule;
mod secret;
mod signature;
mod verdict;

pub use endpoint::{
    Admission, Change, Condition, Endpoint, EndpointState, FAILURES_TO_OPEN, admission, after, endpoint_key,
};
pub use event::{PROGRESS_EVENT, PageCounts, TEST_EVENT, event_of_end, progress_payload, test_payload, thin_payload};
pub use payload::{MAX_TEXT_BYTES, ReadPage, payload};
pub use schedule::{InvalidSchedule, LONGEST_RETRY_AFTER, Schedule};
pub use secret::{InvalidSecret, Secret, Secrets};
pub use signature::{WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, headers, sign};
pub use verdict::{Verdict, verdict};
