//! The folder of an embedded home: who may be in it at the same time.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
};

use anyhow::{Context, bail};

const SERVE_LOCK: &str = "serve.lock";
const WORKERS_LOCK: &str = "workers.lock";

/// Makes the folder, and makes sure that no other `serve` is in it and that no worker of an earlier one is left. The
/// kernel gives the lock back when this process ends, however it ends.
///
/// # Errors
/// When the folder cannot be written, or another `serve` uses it.
pub(crate) fn enter_as_serve(dir: &Path) -> anyhow::Result<File> {
    fs::create_dir_all(dir).with_context(|| format!("the data folder {} cannot be made", dir.display()))?;
    let serve = open_lock(dir, SERVE_LOCK)?;
    match serve.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!("another `quire serve` uses the data folder {}", dir.display()),
        Err(TryLockError::Error(error)) => bail!("the data folder {} cannot be locked: {error}", dir.display()),
    }
    // Orphans end as soon as they notice that their parent is dead: a moment at most.
    open_lock(dir, WORKERS_LOCK)?.lock().context("the workers of an earlier `quire serve` do not end")?;
    Ok(serve)
}

/// Says that a worker is in the folder, until the file is dropped.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn enter_as_worker(dir: &Path) -> anyhow::Result<File> {
    let lock = open_lock(dir, WORKERS_LOCK)?;
    lock.lock_shared().context("the data folder cannot be locked")?;
    Ok(lock)
}

fn open_lock(dir: &Path, name: &str) -> anyhow::Result<File> {
    let path = dir.join(name);
    let file = File::options().create(true).write(true).truncate(false).open(&path);
    file.with_context(|| format!("the data folder {} cannot be written", dir.display()))
}
