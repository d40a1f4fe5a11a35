//! Serves one connection.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::Request,
    response::Response,
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::debug;

use crate::server::{activity::Activity, connections::Admitted, settings::ConnectionTimeouts, stream::TrackedStream};

/// The size of a connection's buffer, and so the maximum of a request's headers: hyper answers `431` beyond it. The
/// router has a lower limit, with a problem as the response.
const BUFFER_BYTES: usize = 64 << 10;

/// A connection that is served until it is closed by the client, by a timeout, in favor of another, or by a shutdown.
pub(super) struct ConnectionTask {
    pub(super) admitted: Admitted,
    pub(super) router: Router,
    pub(super) timeouts: ConnectionTimeouts,
    /// A shutdown: the current request is the last.
    pub(super) shutdown: CancellationToken,
    /// The end of the shutdown: the connection is closed at once.
    pub(super) abort: CancellationToken,
}

impl ConnectionTask {
    pub(super) async fn serve(self, socket: TcpStream) {
        let Self { admitted, router, timeouts, shutdown, abort } = self;
        let activity = &admitted.activity;
        let stream = TrackedStream::new(socket, Arc::clone(activity), timeouts);
        let service = service_fn(|request: Request<Incoming>| {
            let router = router.clone();
            let activity = Arc::clone(activity);
            async move {
                let request = request.map(|body| track_upload(body, &activity));
                let response: Response = router.oneshot(request).await?;
                Ok::<_, std::convert::Infallible>(response.map(|body| TrackedResponse { body, activity }))
            }
        });
        let mut http = http1::Builder::new();
        // The headers' timeout is ours: hyper's does not tell an idle connection from an incomplete request.
        http.max_buf_size(BUFFER_BYTES).header_read_timeout(None);
        let mut serving = pin!(http.serve_connection(TokioIo::new(stream), service));
        let mut is_last_request = false;
        loop {
            tokio::select! {
                served = serving.as_mut() => {
                    if let Err(error) = served {
                        debug!(%error, "a connection failed");
                    }
                    return;
                }
                () = activity.expired(timeouts) => return debug!("timeout: closing a connection without a request"),
                () = admitted.closed.cancelled(), if !is_last_request => {
                    // A request may have arrived in the meantime.
                    if activity.dispensable().is_some() {
                        return debug!("closing a connection in favor of another");
                    }
                    is_last_request = true;
                    serving.as_mut().graceful_shutdown();
                }
                () = shutdown.cancelled(), if !is_last_request => {
                    if activity.is_unused() {
                        return;
                    }
                    is_last_request = true;
                    serving.as_mut().graceful_shutdown();
                }
                () = abort.cancelled() => return,
            }
        }
    }
}

/// Begins a request, and reports when it waits for its body.
fn track_upload(body: Incoming, activity: &Arc<Activity>) -> Body {
    activity.begin_request();
    if body.is_end_stream() {
        return Body::new(body);
    }
    Body::new(TrackedUpload { body, activity: Arc::clone(activity) })
}

struct TrackedUpload {
    body: Incoming,
    activity: Arc<Activity>,
}

impl HttpBody for TrackedUpload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Pending => self.activity.await_upload(),
            Poll::Ready(Some(Ok(frame))) => {
                self.activity.transferred(frame.data_ref().map_or(0, Bytes::len));
            }
            Poll::Ready(None | Some(Err(_))) => self.activity.end_upload(),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for TrackedUpload {
    fn drop(&mut self) {
        self.activity.end_upload();
    }
}

/// A response: the connection is idle once its body has been written.
struct TrackedResponse {
    body: Body,
    activity: Arc<Activity>,
}

impl HttpBody for TrackedResponse {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for TrackedResponse {
    fn drop(&mut self) {
        self.activity.end_response();
    }
}
