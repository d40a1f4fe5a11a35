//! Bounds the memory of multipart parsing.
//!
//! The parser (`multer`) reads ahead as long as data is available, and searches for the end of a part's headers without
//! a limit. This stream therefore hands it one chunk at a time, and fails if the headers of a part, or what precedes
//! the first part, exceed [`MAX_PART_HEADER_BYTES`].

use std::{
    error::Error,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use axum::body::{Body, BodyDataStream, Bytes};
use futures_util::{Stream, StreamExt};

use crate::http::upload_limits::causes;

/// The maximum size of a part's headers, together with what precedes the part: a preamble, or padding. Common clients
/// send at most a few hundred bytes.
pub(crate) const MAX_PART_HEADER_BYTES: usize = 64 << 10;

/// No limit: the content of a part is being read.
const UNLIMITED: usize = usize::MAX;

/// Error: the headers of a part are too large. Decision: refuse the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the headers of a part exceed {MAX_PART_HEADER_BYTES} bytes")]
pub(crate) struct PartHeadersTooLarge;

impl PartHeadersTooLarge {
    /// Whether this is the cause of an error of the parser.
    pub(crate) fn caused(error: &(dyn Error + 'static)) -> bool {
        causes(error).any(<dyn Error>::is::<Self>)
    }
}

/// How many bytes the parser may still read before it has found the headers of the next part.
#[derive(Debug, Clone)]
pub(crate) struct HeaderBudget(Arc<AtomicUsize>);

impl HeaderBudget {
    /// Begins the headers of a part.
    pub(crate) fn begin_headers(&self) {
        self.0.store(MAX_PART_HEADER_BYTES, Relaxed);
    }

    /// Begins the content of a part, which the form limits.
    pub(crate) fn begin_content(&self) {
        self.0.store(UNLIMITED, Relaxed);
    }
}

/// Wraps a body for the multipart parser.
pub(crate) fn limit_parts(body: Body) -> (Body, HeaderBudget) {
    let budget = HeaderBudget(Arc::new(AtomicUsize::new(MAX_PART_HEADER_BYTES)));
    let stream =
        PartStream { body: body.into_data_stream(), rest: Bytes::new(), budget: budget.clone(), pauses: false };
    (Body::from_stream(stream), budget)
}

struct PartStream {
    body: BodyDataStream,
    /// The rest of a chunk that was too large.
    rest: Bytes,
    budget: HeaderBudget,
    /// Whether the parser must first process the last chunk.
    pauses: bool,
}

impl Stream for PartStream {
    type Item = Result<Bytes, axum::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.pauses) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut chunk = std::mem::take(&mut self.rest);
        if chunk.is_empty() {
            match self.body.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(next))) => chunk = next,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
        let budget = self.budget.0.load(Relaxed);
        if budget == 0 {
            return Poll::Ready(Some(Err(PartHeadersTooLarge.into())));
        }
        // What the parser reads of a part's content may contain the next part's headers: that is bounded as well.
        self.rest = chunk.split_off(chunk.len().min(budget).min(MAX_PART_HEADER_BYTES));
        if budget != UNLIMITED {
            self.budget.0.store(budget - chunk.len(), Relaxed);
        }
        self.pauses = true;
        Poll::Ready(Some(Ok(chunk)))
    }
}
