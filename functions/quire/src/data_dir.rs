//! File locks on the data folder of an embedded backend: which processes may use it at the same time.

use std::{
    fs::{DirBuilder, File, TryLockError},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

const SERVE_LOCK: &str = "serve.lock";
const WORKERS_LOCK: &str = "workers.lock";

/// Timeout for the workers of a `serve` that was killed: they notice it and end at once.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(10);
/// Poll interval while waiting for them.
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Creates the folder and locks it for `serve`: excludes another `serve`, a `read`, and workers of a `serve` that was
/// killed. The kernel releases the lock when this process ends, however it ends.
///
/// # Errors
/// When the folder cannot be written, or another process uses it.
pub(crate) fn lock_for_serve(dir: &Path) -> anyhow::Result<File> {
    let serve = open_lock(dir, SERVE_LOCK)?;
    ensure!(try_lock(&serve)?, "another `quire serve` uses the data folder {}", dir.display());
    let workers = open_lock(dir, WORKERS_LOCK)?;
    let started = Instant::now();
    while !try_lock(&workers)? {
        ensure!(
            started.elapsed() < ORPHAN_TIMEOUT,
            "a `quire read`, or a worker of an earlier `quire serve`, uses the data folder {}",
            dir.display()
        );
        std::thread::sleep(LOCK_POLL_INTERVAL);
    }
    Ok(serve)
}

/// Creates the folder and locks it for a worker, until the file is dropped. Workers share the lock.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn lock_for_worker(dir: &Path) -> anyhow::Result<File> {
    let lock = open_lock(dir, WORKERS_LOCK)?;
    lock.lock_shared().context("cannot lock the data folder")?;
    Ok(lock)
}

fn try_lock(file: &File) -> anyhow::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error).context("cannot lock the data folder"),
    }
}

fn open_lock(dir: &Path, name: &str) -> anyhow::Result<File> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    created.with_context(|| format!("cannot create the data folder {}", dir.display()))?;
    let file = File::options().create(true).write(true).truncate(false).mode(0o600).open(dir.join(name));
    file.with_context(|| format!("cannot write to the data folder {}", dir.display()))
}
