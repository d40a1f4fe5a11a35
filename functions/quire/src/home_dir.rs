//! The folder of an embedded home: who may be in it at the same time.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

const SERVE_LOCK: &str = "serve.lock";
const WORKERS_LOCK: &str = "workers.lock";

/// How long the workers of a `serve` that was killed may take to notice it. They do so at once.
const ORPHANS_END_WITHIN: Duration = Duration::from_secs(10);

/// Makes the folder, and makes sure that nobody else is at work in it: no other `serve`, no `read`, no worker of a
/// `serve` that was killed. The kernel gives the lock back when this process ends, however it ends.
///
/// # Errors
/// When the folder cannot be written, or somebody else uses it.
pub(crate) fn enter_as_serve(dir: &Path) -> anyhow::Result<File> {
    let serve = open_lock(dir, SERVE_LOCK)?;
    ensure!(try_lock(&serve)?, "another `quire serve` uses the data folder {}", dir.display());
    let workers = open_lock(dir, WORKERS_LOCK)?;
    let started = Instant::now();
    while !try_lock(&workers)? {
        let patient = started.elapsed() < ORPHANS_END_WITHIN;
        ensure!(
            patient,
            "a `quire read`, or a worker of an earlier `quire serve`, uses the data folder {}",
            dir.display()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(serve)
}

/// Says that pages are read in the folder, until the file is dropped.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn enter_as_worker(dir: &Path) -> anyhow::Result<File> {
    let lock = open_lock(dir, WORKERS_LOCK)?;
    lock.lock_shared().context("the data folder cannot be locked")?;
    Ok(lock)
}

fn try_lock(file: &File) -> anyhow::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error).context("the data folder cannot be locked"),
    }
}

fn open_lock(dir: &Path, name: &str) -> anyhow::Result<File> {
    fs::create_dir_all(dir).with_context(|| format!("the data folder {} cannot be made", dir.display()))?;
    let path = dir.join(name);
    let file = File::options().create(true).write(true).truncate(false).open(&path);
    file.with_context(|| format!("the data folder {} cannot be written", dir.display()))
}
