//! Callbacks (webhooks): payloads, signatures, the retry schedule and the circuit breaker per endpoint.
//!
//! Signatures and headers follow Standard Webhooks. This crate is pure: no I/O, no clock; time and randomness are
//! parameters.

#![warn(missing_docs)]

mod classification;
#[cfg(feature = "endpoint")]
mod endpoint;
mod payload;
mod schedule;
mod secret;
mod signature;

pub use classification::{ResponseClass, classify_response};
#[cfg(feature = "endpoint")]
pub use endpoint::{
    Endpoint, EndpointAdmission, EndpointChange, EndpointCondition, EndpointState, FAILURES_TO_OPEN,
    endpoint_admission, endpoint_change, endpoint_key,
};
pub use payload::{
    MAX_PAGES, MAX_TEXT_BYTES, PROGRESS_EVENT, PageContent, PageCounts, TEST_EVENT, completion_event, full_payload,
    full_payload_without_pages, progress_payload, test_payload, thin_payload,
};
pub use schedule::{InvalidSchedule, MAX_RETRY_AFTER, Schedule};
pub use secret::{InvalidSecret, Secret, Secrets};
pub use signature::{WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, sign, signature_headers};
