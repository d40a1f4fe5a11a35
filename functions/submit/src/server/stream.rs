//! A connection's socket: reports its activity, and disconnects a client that does not take its response.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};

use crate::{
    http::transfer_window::TransferWindow,
    server::{
        activity::{Activity, Phase},
        settings::ConnectionTimeouts,
    },
};

/// A socket with its activity.
#[derive(Debug)]
pub(super) struct TrackedStream {
    socket: TcpStream,
    activity: Arc<Activity>,
    download: TransferWindow,
}

impl TrackedStream {
    pub(super) fn new(socket: TcpStream, activity: Arc<Activity>, timeouts: ConnectionTimeouts) -> Self {
        Self { socket, activity, download: TransferWindow::new(timeouts.window, timeouts.min_window_bytes) }
    }

    /// Records the result of a write. While the client takes nothing, the window's timer runs.
    fn record_write(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => {
                if self.activity.phase() == Phase::Working {
                    self.activity.begin(Phase::Download);
                }
                ready!(self.download.poll_too_slow(context));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not take its response")))
            }
            Poll::Ready(Ok(bytes)) => {
                self.activity.transferred(bytes);
                self.download.progress(Instant::now(), bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        let bytes = buffer.filled().len() - before;
        if bytes > 0 {
            if self.activity.phase() == Phase::Idle {
                self.activity.begin(Phase::Head);
            }
            if self.activity.phase() == Phase::Head {
                self.activity.transferred(bytes);
            }
        }
        read
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.record_write(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.record_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
