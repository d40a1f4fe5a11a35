//! The timeouts of request bodies: without progress, below the minimum rate, and in total.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::{http::transfer_window::TransferWindow, settings::SubmitSettings};

/// Error: a request body did not arrive in time. Decision: refuse the request; the client may send it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UploadTimeout {
    /// Nothing arrived for the idle timeout.
    #[error("no data arrived within the idle timeout")]
    Stalled,
    /// The body arrived below the minimum rate, or took longer than the total timeout.
    #[error("the body arrived too slowly")]
    TooSlow,
}

impl UploadTimeout {
    /// Returns the timeout that caused an error of reading a body.
    pub(crate) fn cause_of(error: &(dyn Error + 'static)) -> Option<Self> {
        causes(error).find_map(|error| error.downcast_ref().copied())
    }
}

/// Returns an error and its causes.
pub(crate) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a dyn Error = *error;
        error.source()
    })
}

/// Applies the timeouts to a body. They begin when it is first read.
pub(crate) fn limit_upload(settings: &SubmitSettings, body: Body) -> Body {
    if body.is_end_stream() {
        return body;
    }
    Body::new(LimitedUpload {
        body,
        idle: TransferWindow::new(settings.idle_limit, 1),
        rate: TransferWindow::new(settings.rate_window(), settings.min_window_bytes()),
        total: Box::pin(sleep(settings.upload_limit)),
        total_limit: settings.upload_limit,
        has_begun: false,
    })
}

struct LimitedUpload {
    body: Body,
    idle: TransferWindow,
    rate: TransferWindow,
    total: Pin<Box<Sleep>>,
    total_limit: Duration,
    has_begun: bool,
}

impl LimitedUpload {
    fn poll_timeout(&mut self, context: &mut Context<'_>) -> Poll<UploadTimeout> {
        if self.idle.poll_too_slow(context).is_ready() {
            return Poll::Ready(UploadTimeout::Stalled);
        }
        if self.rate.poll_too_slow(context).is_ready() {
            return Poll::Ready(UploadTimeout::TooSlow);
        }
        self.total.as_mut().poll(context).map(|()| UploadTimeout::TooSlow)
    }
}

impl HttpBody for LimitedUpload {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if !self.has_begun {
            self.has_begun = true;
            let deadline = Instant::now() + self.total_limit;
            self.total.as_mut().reset(deadline);
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending => self.poll_timeout(context).map(|timeout| Some(Err(timeout.into()))),
            Poll::Ready(Some(Ok(frame))) => {
                let (now, bytes) = (Instant::now(), frame.data_ref().map_or(0, Bytes::len));
                self.idle.progress(now, bytes);
                self.rate.progress(now, bytes);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(ended) => Poll::Ready(ended.map(|frame| frame.map_err(Into::into))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
