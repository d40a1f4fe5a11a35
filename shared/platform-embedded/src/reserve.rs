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

use quire_platform::{Error, Result};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use tracing::warn;

use crate::durable;

/// The size of the reserve, in bytes. The rows of a task of 10,000 pages need about 4 MB of log.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// The space of the disk that has the data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes that can still be written.
    pub free_bytes: u64,
    /// The size of the disk in bytes.
    pub total_bytes: u64,
    /// Whether only deletions can be expected to succeed.
    pub full: bool,
}

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
        self.disk_space().is_ok_and(|space| space.free_bytes < RESERVE_BYTES)
    }

    /// Returns the space of the disk. It is full when the reserve is used, or would not fit a second time.
    pub(crate) fn disk_space(&self) -> Result<DiskSpace> {
        let stat = statvfs(&self.dir)
            .map_err(|error| durable::failure("data folder", &self.dir.display().to_string(), &error.into()))?;
        let free_bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
        let full = free_bytes < RESERVE_BYTES || !self.file.exists();
        Ok(DiskSpace { free_bytes, total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize), full })
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
        assert!(reserve.disk_space().expect("a disk").full);
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
