//! The trace of a request (W3C Trace Context).

use axum::http::HeaderMap;
use quire_tasks::TraceParent;

use crate::tasks::trace::new_trace;

/// Returns the trace of the `traceparent` header. Default: a new trace, also if the header is malformed.
pub(crate) fn trace_of(headers: &HeaderMap) -> TraceParent {
    let header = headers.get(TraceParent::NAME).and_then(|value| value.to_str().ok());
    header.and_then(|text| text.trim().parse().ok()).unwrap_or_else(new_trace)
}
