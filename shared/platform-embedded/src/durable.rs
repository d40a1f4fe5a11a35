//! Folders and files that are still there after a power cut.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use quire_platform::{Error, Result};
use tracing::warn;

/// Whoever writes a spool file for longer than this has died.
pub(crate) const ABANDONED_AFTER: Duration = Duration::from_hours(24);

/// Makes the backend's folders; returns the absolute path of the first.
pub(crate) fn prepare(dir: &Path) -> Result<PathBuf> {
    let failed = |error: &io::Error| failure("data folder", &dir.display().to_string(), error);
    make_folder(dir).map_err(|error| failed(&error))?;
    let dir = fs::canonicalize(dir).map_err(|error| failed(&error))?;
    for part in ["objects", "spool", "bells"] {
        make_folder(&dir.join(part)).map_err(|error| failed(&error))?;
    }
    Ok(dir)
}

/// What an error of the file system means to a caller.
pub(crate) fn failure(what: &'static str, place: &str, error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Error::Full { what },
        _ => Error::Failed { what, why: format!("{place}: {error}") },
    }
}

/// Makes a folder and those above it. What is in them is nobody else's business: customers' documents.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    // A relative path ends in an empty parent, which is the current folder.
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(Path::new(""));
    make_folder(parent)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => sync_folder(parent),
        // Somebody else made it just now.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

/// Removes what killed processes have left in the spool: files that nobody has written to for at least `age`.
pub(crate) fn sweep(spool: &Path, age: Duration) -> io::Result<()> {
    let now = SystemTime::now();
    for entry in fs::read_dir(spool)? {
        let entry = entry?;
        // A file that vanishes meanwhile is in use.
        let Ok(written) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
        let abandoned = now.duration_since(written).is_ok_and(|unwritten| unwritten >= age);
        if abandoned && let Err(error) = fs::remove_file(entry.path()) {
            warn!(%error, file = %entry.path().display(), "an abandoned spool file could not be removed");
        }
    }
    Ok(())
}
