//! A sign of life, for whoever watches a worker from outside: a container's health check.

use std::{convert::Infallible, future::pending, path::PathBuf, time::Duration, time::SystemTime};

use anyhow::{Context, ensure};
use tracing::warn;

const VARIABLE: &str = "QUIRE_HEARTBEAT_FILE";
const EVERY: Duration = Duration::from_secs(10);
/// A machine that is busy for a while is not dead.
const DEAD_AFTER: Duration = Duration::from_mins(1);

/// A worker's heartbeat.
#[derive(Debug)]
pub(crate) struct Heartbeat(Option<PathBuf>);

impl Heartbeat {
    /// Touches the file that `QUIRE_HEARTBEAT_FILE` names for the first time; without it, there is nothing to be done.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let file = file()?;
        if let Some(file) = &file {
            touch(file).await.with_context(|| format!("{VARIABLE}: {} cannot be written", file.display()))?;
        }
        Ok(Self(file))
    }

    /// Touches it again and again. To be polled beside the work, on the same task, so that it stops with it.
    pub(crate) async fn go_on(self) -> Infallible {
        let Some(file) = self.0 else { return pending().await };
        loop {
            tokio::time::sleep(EVERY).await;
            // It is tried again, and whoever looks at it decides.
            if let Err(error) = touch(&file).await {
                warn!(file = %file.display(), %error, "the sign of life cannot be given");
            }
        }
    }
}

/// Empties it, which takes no space on a disk that is full.
async fn touch(file: &PathBuf) -> std::io::Result<()> {
    tokio::fs::write(file, []).await
}

/// Whether there was a sign of life of late.
///
/// # Errors
/// When there was none.
pub(crate) fn alive() -> anyhow::Result<()> {
    let file = file()?.with_context(|| format!("{VARIABLE} is not set: there is nothing to tell life by"))?;
    let touched = std::fs::metadata(&file).and_then(|metadata| metadata.modified());
    let touched = touched.with_context(|| format!("there is no sign of life at {}", file.display()))?;
    let age = SystemTime::now().duration_since(touched).unwrap_or_default();
    ensure!(age < DEAD_AFTER, "the last sign of life at {} is {} s old", file.display(), age.as_secs());
    Ok(())
}

fn file() -> anyhow::Result<Option<PathBuf>> {
    Ok(quire_telemetry::env::text(VARIABLE)?.map(PathBuf::from))
}
