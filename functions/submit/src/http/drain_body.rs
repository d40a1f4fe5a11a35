//! Bodies that are refused before they are read to their end.
//!
//! A server that answers early and closes the connection while the client still sends makes the client's system drop
//! the answer: the client sees a reset connection instead of a `413`. So what is left of a body is read on for a
//! while and thrown away, after the answer has been sent.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, Bytes, HttpBody},
    extract::Request,
    http::header,
};
use futures_util::{Stream, StreamExt};
use tokio::{runtime::Handle, time::timeout};
use tokio_util::task::TaskTracker;

use crate::state::AppState;

/// How long a client may go on sending into the void: enough for the usual ones to stop writing and read, not enough
/// to hold a shutdown up.
const LINGER: Duration = Duration::from_secs(5);

/// The request with a body that lingers when it is dropped before its end.
pub(crate) fn body(app: &AppState, request: Request) -> Request {
    // A client that asks first (`Expect: 100-continue`) reads the answer before it sends: nothing to throw away.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return request;
    }
    let work = app.work.clone();
    request.map(|body| Body::from_stream(DrainingBody { rest: Some(body.into_data_stream()), work }))
}

/// Gives up a request's body unread.
pub(crate) fn discard(app: &AppState, request: Request) {
    drop(body(app, request));
}

struct DrainingBody {
    rest: Option<BodyDataStream>,
    work: TaskTracker,
}

impl Stream for DrainingBody {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let next = rest.poll_next_unpin(context);
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            self.rest = None;
        }
        next
    }
}

impl Drop for DrainingBody {
    fn drop(&mut self) {
        let (Some(mut rest), Ok(runtime)) = (self.rest.take(), Handle::try_current()) else { return };
        let discard = async move { while let Some(Ok(_)) = rest.next().await {} };
        self.work.spawn_on(async move { timeout(LINGER, discard).await }, &runtime);
    }
}
