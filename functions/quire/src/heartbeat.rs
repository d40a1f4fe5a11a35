//! The worker's heartbeat file, for a container's health check.

use std::{
    convert::Infallible,
    future::pending,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use anyhow::{Context, ensure};
use tracing::warn;

const VARIABLE: &str = "QUIRE_HEARTBEAT_FILE";
const INTERVAL: Duration = Duration::from_secs(10);
/// Several intervals: a machine that is busy for a while is not dead.
const MAX_AGE: Duration = Duration::from_mins(1);

/// A worker's heartbeat; disabled unless `QUIRE_HEARTBEAT_FILE` is set.
#[derive(Debug)]
pub(crate) struct Heartbeat(Option<PathBuf>);

impl Heartbeat {
    /// Writes the file for the first time.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let file = heartbeat_file()?;
        if let Some(file) = &file {
            touch(file).await.with_context(|| format!("{VARIABLE}: cannot write {}", file.display()))?;
        }
        Ok(Self(file))
    }

    /// Writes the file at an interval. Must be polled by the same task as the worker, so that it stops with it.
    pub(crate) async fn run(self) -> Infallible {
        let Some(file) = self.0 else { return pending().await };
        loop {
            tokio::time::sleep(INTERVAL).await;
            // Only logged: the health check decides, by the age of the file.
            if let Err(error) = touch(&file).await {
                warn!(file = %file.display(), %error, "cannot write the heartbeat file");
            }
        }
    }
}

/// Truncates the file, which works on a full disk, too.
async fn touch(file: &PathBuf) -> std::io::Result<()> {
    tokio::fs::write(file, []).await
}

/// Checks that the heartbeat file is recent.
///
/// # Errors
/// When it is missing or too old, or when `QUIRE_HEARTBEAT_FILE` is not set.
pub(crate) fn check() -> anyhow::Result<()> {
    let file = heartbeat_file()?.with_context(|| format!("{VARIABLE} is not set: no heartbeat file to check"))?;
    let modified = std::fs::metadata(&file).and_then(|metadata| metadata.modified());
    let modified = modified.with_context(|| format!("no heartbeat at {}", file.display()))?;
    let age = SystemTime::now().duration_since(modified).unwrap_or_default();
    ensure!(age < MAX_AGE, "the last heartbeat at {} is {} s old", file.display(), age.as_secs());
    Ok(())
}

fn heartbeat_file() -> anyhow::Result<Option<PathBuf>> {
    Ok(quire_telemetry::env::text(VARIABLE)?.map(PathBuf::from))
}
