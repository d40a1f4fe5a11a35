//! When to stop.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// A token that is canceled by the first SIGTERM or SIGINT. A second one ends the process at once, for an operator who
/// does not want to wait for the drain.
///
/// # Errors
/// When the signals cannot be listened to.
pub fn stop_signal() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let stop = token.clone();
    // Owned by the process: it listens until the end.
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_cancelled() {
                // Not `exit`: it would take native libraries' tables down under their running threads.
                std::process::abort();
            }
            info!("stopping: no new work is taken, what is in hand is finished");
            stop.cancel();
        }
    });
    Ok(token)
}
