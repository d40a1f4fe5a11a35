//! Drains request bodies that are refused before they are read completely.
//!
//! If a server responds early and closes the connection while the client is still sending, the client's TCP stack drops
//! the response: the client sees a connection reset instead of a `413`. Therefore the rest of the body is read and
//! discarded for a while after the response was sent (a lingering close).

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

/// How long a body is drained: long enough for common clients to notice the response, too short to delay a shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Wraps the request's body so that it is drained if it is dropped before its end.
pub(crate) fn drain_on_drop(app: &AppState, request: Request) -> Request {
    // A client that sends `Expect: 100-continue` reads the response before it sends the body: nothing to drain.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return request;
    }
    let work = app.work.clone();
    request.map(|body| Body::from_stream(DrainingBody { rest: Some(body.into_data_stream()), work }))
}

/// Drains the body of a request in the background.
pub(crate) fn discard(app: &AppState, request: Request) {
    drop(drain_on_drop(app, request));
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
        let drain = async move { while let Some(Ok(_)) = rest.next().await {} };
        self.work.spawn_on(async move { timeout(DRAIN_TIMEOUT, drain).await }, &runtime);
    }
}
