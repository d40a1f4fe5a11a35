//! New traces.

use quire_tasks::TraceParent;

/// Returns a new trace with random ids.
pub(crate) fn new_trace() -> TraceParent {
    TraceParent::new(rand::random(), rand::random())
}
