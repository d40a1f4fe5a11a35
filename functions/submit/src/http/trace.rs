//! Which trace a request belongs to.

use axum::http::HeaderMap;
use quire_tasks::TraceParent;

use crate::tasks::trace::new_trace;

/// The client's, where it names one; otherwise a new one.
pub(crate) fn trace_of(headers: &HeaderMap) -> TraceParent {
    let theirs = headers.get(TraceParent::NAME).and_then(|value| value.to_str().ok());
    theirs.and_then(|text| text.trim().parse().ok()).unwrap_or_else(new_trace)
}
