//! A page on its way through the worker.

use quire_fair_share::{FairPermit, WeightedPermit};
use quire_platform::Lease;
use quire_tasks::{Failure, PageMessage, PageText, ReviewEntry, TraceParent};
use tokio::sync::OwnedSemaphorePermit;

/// A leased page: the lease and the permits travel with it, and only the type of the payload changes from step to step.
#[derive(Debug)]
pub struct InFlight<T> {
    /// The page and its round.
    pub message: PageMessage,
    /// What the previous step produced.
    pub payload: T,
    /// The receive count of the message, from 1.
    pub attempt: u32,
    pub(crate) trace: Option<TraceParent>,
    pub(crate) lease: Lease,
    /// The page's share of the pages in flight, returned on drop.
    pub(crate) permit: PagePermit,
    /// The page's share of the pixels in flight, once it is rendered; returned on drop.
    pub(crate) pixel_permit: Option<WeightedPermit>,
}

/// The permits of one page in flight: of its tenant, and of the worker. A page that is read alone has all slots of the
/// worker.
#[derive(Debug)]
pub(crate) struct PagePermit {
    pub(crate) share: FairPermit,
    pub(crate) _slots: OwnedSemaphorePermit,
}

/// How a page ends.
#[derive(Debug)]
pub(crate) struct PageEnd {
    pub(crate) read: Result<Box<PageText>, Failure>,
    /// The entry for the review queue, if the page needs a review.
    pub(crate) review: Option<ReviewEntry>,
}

impl From<Failure> for PageEnd {
    fn from(failure: Failure) -> Self {
        Self { read: Err(failure), review: None }
    }
}

impl<T> InFlight<T> {
    /// Returns the page with another payload.
    pub(crate) fn with<U>(self, payload: U) -> InFlight<U> {
        let Self { message, attempt, trace, lease, permit, pixel_permit, payload: _ } = self;
        InFlight { message, payload, attempt, trace, lease, permit, pixel_permit }
    }

    /// Returns the payload, and the page without it.
    pub(crate) fn split(self) -> (T, InFlight<()>) {
        let Self { message, payload, attempt, trace, lease, permit, pixel_permit } = self;
        (payload, InFlight { message, payload: (), attempt, trace, lease, permit, pixel_permit })
    }

    /// Returns the tenant of the page.
    pub(crate) fn tenant(&self) -> &str {
        self.permit.share.tenant()
    }

    /// Returns the id of the page's trace, for the log.
    pub(crate) fn trace_id(&self) -> Option<String> {
        self.trace.map(|trace| trace.trace_id())
    }
}
