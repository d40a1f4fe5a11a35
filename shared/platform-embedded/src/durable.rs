//! Folders and files that survive a power failure.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use quire_platform::{DiskSpace, Error, Result};
use tracing::warn;

use crate::permissions::{FOLDER_MODE, restrict_folder};

/// A spool file not written to for this long belongs to a dead process.
pub(crate) const ABANDONED_AFTER: Duration = Duration::from_hours(24);

/// Creates the backend's folders and returns the absolute path of the data folder.
pub(crate) fn create_data_folder(dir: &Path) -> Result<PathBuf> {
    let failed = |error: &io::Error| failure("data folder", &dir.display().to_string(), error);
    create_folder(dir).map_err(|error| failed(&error))?;
    let dir = fs::canonicalize(dir).map_err(|error| failed(&error))?;
    restrict_folder(&dir);
    for part in ["objects", "spool", "bells"] {
        create_folder(&dir.join(part)).map_err(|error| failed(&error))?;
    }
    Ok(dir)
}

/// Converts an error of the file system.
pub(crate) fn failure(what: &'static str, place: &str, error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Error::Full { what },
        _ => Error::Failed { what, why: format!("{place}: {error}") },
    }
}

/// Creates a folder and its parents, accessible only by their owner: they contain customers' documents.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    // The parent of a relative path may be empty: the current folder.
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(Path::new(""));
    create_folder(parent)?;
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Ok(()) => sync_folder(parent),
        // Another process won the race.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Syncs a folder, which makes the names in it durable (fsync of the directory).
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

/// Deletes spool files that were not written to for at least `age`, left by dead processes.
pub(crate) fn delete_abandoned(spool: &Path, age: Duration) -> io::Result<()> {
    let now = SystemTime::now();
    for entry in fs::read_dir(spool)? {
        let entry = entry?;
        // A file that vanishes was moved by its process.
        let Ok(written) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
        let abandoned = now.duration_since(written).is_ok_and(|unwritten| unwritten >= age);
        if abandoned && let Err(error) = fs::remove_file(entry.path()) {
            warn!(%error, file = %entry.path().display(), "cannot delete an abandoned spool file");
        }
    }
    Ok(())
}

/// Returns the space of the disk that has a folder.
pub(crate) fn disk_space(folder: &Path) -> io::Result<DiskSpace> {
    let stat = rustix::fs::statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(DiskSpace { free: bytes(stat.f_bavail), total: bytes(stat.f_blocks) })
}
