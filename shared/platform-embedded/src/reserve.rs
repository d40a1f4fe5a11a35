//! Disk space that is kept for deletions.
//!
//! SQLite writes to its log before it deletes, so that nothing could be deleted on a full disk. A file of zeros
//! occupies what a deletion needs. The first deletion that finds the disk full removes it; it is created again as soon
//! as there is space.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use quire_platform::{DiskSpace, Error, Result};
use rustix::fs::{FallocateFlags, fallocate};
use tracing::warn;

use crate::durable;

/// The size of the reserve, in bytes. The rows of a task of 10,000 pages need about 4 MB of log.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// The reserve of a data folder.
#[derive(Debug)]
pub(crate) struct Reserve {
    dir: PathBuf,
    file: PathBuf,
}

impl Reserve {
    /// Names the reserve of a data folder and creates it if there is space.
    pub(crate) fn open(dir: &Path) -> Self {
        let reserve = Self { dir: dir.to_owned(), file: dir.join("reserve") };
        reserve.refill();
        reserve
    }

    /// Creates the reserve unless it exists. Returns whether it exists.
    pub(crate) fn refill(&self) -> bool {
        match self.create() {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => true,
            Err(error) => {
                if !matches!(durable::failure("reserve", "", &error), Error::Full { .. }) {
                    warn!(%error, file = %self.file.display(), "cannot reserve disk space for deletions");
                }
                false
            }
        }
    }

    fn create(&self) -> io::Result<()> {
        let file = File::options().write(true).create_new(true).mode(0o600).open(&self.file)?;
        let filled = fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES);
        if filled.is_err() {
            // A part of it would only take space from others.
            let _ = fs::remove_file(&self.file);
        }
        Ok(filled?)
    }

    /// Removes the reserve. Returns whether there was one.
    fn release(&self) -> bool {
        let released = fs::remove_file(&self.file).is_ok();
        if released {
            warn!("the disk is full: the space reserved for deletions is used");
        }
        released
    }

    /// Runs an operation that deletes, and runs it again with the reserved space if the disk is full.
    pub(crate) async fn delete<T, F: Future<Output = Result<T>>>(&self, operation: impl Fn() -> F) -> Result<T> {
        match operation().await {
            Err(Error::Full { .. }) if self.release() => operation().await,
            Err(Error::Failed { .. }) if self.is_disk_full() && self.release() => operation().await,
            done => done,
        }
    }

    /// Opens the database, whose log and index need space too: on a full disk with the reserved space, so that what has
    /// expired can be deleted.
    pub(crate) fn open_database<T>(&self, open: impl Fn() -> Result<T>) -> Result<T> {
        match open() {
            Err(_) if self.is_disk_full() && self.release() => open(),
            opened => opened,
        }
    }

    /// SQLite reports some of its writes to a full disk as other errors.
    fn is_disk_full(&self) -> bool {
        self.disk_space().is_ok_and(|space| space.free < RESERVE_BYTES)
    }

    /// Returns whether only deletions can be expected to succeed: the reserve is used, or would not fit a second time.
    pub(crate) fn is_used(&self) -> Result<bool> {
        Ok(self.disk_space()?.free < RESERVE_BYTES || !self.file.exists())
    }

    fn disk_space(&self) -> Result<DiskSpace> {
        durable::disk_space(&self.dir)
            .map_err(|error| durable::failure("data folder", &self.dir.display().to_string(), &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserve() -> (tempfile::TempDir, Reserve) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let reserve = Reserve::open(dir.path());
        (dir, reserve)
    }

    #[tokio::test]
    async fn a_deletion_on_a_full_disk_is_repeated_with_the_reserve_only() {
        let (dir, reserve) = reserve();
        assert!(dir.path().join("reserve").exists());
        let full = || async { if reserve.file.exists() { Err(Error::Full { what: "database" }) } else { Ok(7) } };
        assert!(matches!(reserve.delete(full).await, Ok(7)));
        let still_full = || async { Err::<(), _>(Error::Full { what: "database" }) };
        assert!(matches!(reserve.delete(still_full).await, Err(Error::Full { .. })));
        assert!(reserve.is_used().expect("a disk"));
        assert!(reserve.refill());
    }

    #[tokio::test]
    async fn other_errors_leave_the_reserve_alone() {
        let (_dir, reserve) = reserve();
        assert!(reserve.open_database(|| Err::<(), _>(Error::Busy { what: "x", why: String::new() })).is_err());
        let missing = || async { Err::<(), _>(Error::NotFound { what: "x".to_owned() }) };
        assert!(reserve.delete(missing).await.is_err());
        assert!(reserve.file.exists());
    }
}
