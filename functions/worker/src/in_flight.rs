//! A page on its way through the worker.

use quire_platform::Lease;
use quire_tasks::{Failure, PageMessage, PageText, ReviewEntry, TraceParent};
use tokio::sync::OwnedSemaphorePermit;

/// A page in hand: the lease and the permits travel along, only the payload changes its type from step to step.
#[derive(Debug)]
pub struct InFlight<T> {
    /// Which page, in which round.
    pub message: PageMessage,
    /// What the last step made of it.
    pub payload: T,
    /// How often the page was taken up, this time included.
    pub attempt: u32,
    pub(crate) trace: Option<TraceParent>,
    pub(crate) lease: Lease,
    /// Gives back the page's share of what may be in hand when it is dropped.
    pub(crate) permit: OwnedSemaphorePermit,
    /// Likewise its pixels, once there are any.
    pub(crate) pixels: Option<OwnedSemaphorePermit>,
}

/// How a page ends.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) read: Result<Box<PageText>, Failure>,
    /// Why somebody is to look at it, if so.
    pub(crate) review: Option<ReviewEntry>,
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self { read: Err(failure), review: None }
    }
}

impl<T> InFlight<T> {
    /// The same page with another payload.
    pub(crate) fn with<U>(self, payload: U) -> InFlight<U> {
        let Self { message, attempt, trace, lease, permit, pixels, payload: _ } = self;
        InFlight { message, payload, attempt, trace, lease, permit, pixels }
    }

    /// The payload, and the page without it.
    pub(crate) fn split(self) -> (T, InFlight<()>) {
        let Self { message, payload, attempt, trace, lease, permit, pixels } = self;
        (payload, InFlight { message, payload: (), attempt, trace, lease, permit, pixels })
    }

    /// The trace that the page belongs to, for the log.
    pub(crate) fn trace_id(&self) -> Option<String> {
        self.trace.map(|trace| trace.trace_id())
    }
}
