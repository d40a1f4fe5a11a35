//! Graceful shutdown by signals.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Returns a token that the first SIGTERM or SIGINT cancels, for a graceful shutdown. A second signal aborts the
/// process, for an operator who does not want to wait for the drain.
///
/// # Errors
/// If the signal handlers cannot be installed.
pub fn stop_signal() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let stop = token.clone();
    // Owned by the process: it runs until the process ends.
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_cancelled() {
                // Not `exit`: its handlers would free tables of native libraries that other threads still use.
                std::process::abort();
            }
            info!("shutting down: no new work is accepted, work in flight is finished");
            stop.cancel();
        }
    });
    Ok(token)
}
