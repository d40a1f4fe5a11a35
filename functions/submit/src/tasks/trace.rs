//! New traces.

use quire_tasks::TraceParent;

/// One that nobody else is in.
pub(crate) fn new_trace() -> TraceParent {
    TraceParent::new(rand::random(), rand::random())
}
