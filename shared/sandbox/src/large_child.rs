//! At most one child at a time may use much memory, in all processes that share a lock file.
//!
//! Ordinary pages need less than [`LARGE`]. Beyond it a child needs the lock; until it has it, it is stopped. So the
//! memory of the service is bounded by one hostile document, however many it is sent and however many workers it has.

use std::{
    fs::{File, OpenOptions},
    path::PathBuf,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

/// The memory in bytes beyond which a child needs the lock. A page of A4 at 200 dpi needs some 20 MB, a scan as large
/// as a page may be 100 MB.
pub(crate) const LARGE: u64 = 128 << 20;
/// The interval at which a stopped child's parent tries to get the lock. The lock is held for seconds.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// The lock, by the path of its file; without a path, children are not limited.
#[derive(Debug, Clone, Default)]
pub(crate) struct LargeChildLock(pub(crate) Option<PathBuf>);

/// The lock is held until this is dropped, or until this process ends.
#[derive(Debug)]
pub(crate) struct LargeChildPermit(#[expect(dead_code, reason = "it is locked")] Option<File>);

impl LargeChildLock {
    /// Returns the permit at once, or stops the process and waits for it.
    pub(crate) async fn acquire_for(&self, pid: u32) -> LargeChildPermit {
        if let Some(permit) = self.try_acquire() {
            return permit;
        }
        let _stopped = Stopped::new(pid);
        loop {
            sleep(RETRY_INTERVAL).await;
            if let Some(permit) = self.try_acquire() {
                return permit;
            }
        }
    }

    /// Returns `None` if another child has the lock. A lock file that cannot be opened limits nothing: the limit of
    /// each child holds anyway.
    fn try_acquire(&self) -> Option<LargeChildPermit> {
        let Some(path) = &self.0 else { return Some(LargeChildPermit(None)) };
        let Ok(file) = OpenOptions::new().create(true).truncate(false).write(true).open(path) else {
            return Some(LargeChildPermit(None));
        };
        match file.try_lock() {
            Ok(()) => Some(LargeChildPermit(Some(file))),
            Err(std::fs::TryLockError::WouldBlock) => None,
            Err(std::fs::TryLockError::Error(_)) => Some(LargeChildPermit(None)),
        }
    }
}

/// A stopped process, which continues when this is dropped.
struct Stopped(Option<Pid>);

impl Stopped {
    fn new(pid: u32) -> Self {
        let pid = Pid::from_raw(pid.cast_signed());
        // It may have ended.
        pid.map(|pid| kill_process(pid, Signal::STOP));
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.map(|pid| kill_process(pid, Signal::CONT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_child_at_a_time_is_large() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = LargeChildLock(Some(folder.path().join("lock")));
        let first = lock.try_acquire().expect("nobody has it");
        assert!(lock.clone().try_acquire().is_none());
        drop(first);
        assert!(lock.try_acquire().is_some());
        assert!(LargeChildLock(Some("/nowhere/lock".into())).try_acquire().is_some(), "it limits nothing");
    }
}
