//! Gives up the rights of this process, before it sees a document.

#[cfg(target_os = "linux")]
mod files;
mod protection;
mod resources;
#[cfg(target_os = "linux")]
mod syscalls;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use protection::Protection;
pub(crate) use resources::{MemoryLimits, set_soft_limit};

/// Which protections a child has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lockdown {
    /// Resource limits: address space, processor time, no files written, no core dumps, no processes.
    pub rlimits: Protection,
    /// No rights are gained by starting programs.
    pub no_new_privs: Protection,
    /// No file is opened, except fonts.
    pub landlock: Protection,
    /// Only system calls that parsing needs: no network, no processes.
    pub seccomp: Protection,
}

impl Lockdown {
    /// Returns the names and states of all protections.
    pub fn protections(&self) -> [(&'static str, &Protection); 4] {
        [
            ("rlimits", &self.rlimits),
            ("no_new_privs", &self.no_new_privs),
            ("landlock", &self.landlock),
            ("seccomp", &self.seccomp),
        ]
    }

    /// Returns the names of the protections that are not in force.
    pub fn missing(&self) -> Vec<&'static str> {
        let missing = self.protections().into_iter().filter(|(_, protection)| !protection.is_enforced());
        missing.map(|(name, _)| name).collect()
    }
}

/// Gives up all rights that parsing does not need. Best effort: what the platform does not have is reported, so that
/// documents are still read on an old kernel or on macOS, with the other protections.
#[cfg(target_os = "linux")]
pub(crate) fn lock_down(memory: MemoryLimits, font_folders: &[PathBuf]) -> Lockdown {
    let rlimits = resources::limit(memory);
    end_with_parent();
    let no_new_privs = match rustix::thread::set_no_new_privs(true) {
        Ok(()) => Protection::Enforced,
        Err(error) => Protection::missing(&error),
    };
    let landlock = files::forbid(font_folders);
    // Without landlock, a child that may open fonts could open any file.
    let seccomp = syscalls::filter(memory, landlock.is_enforced());
    Lockdown { rlimits, no_new_privs, landlock, seccomp }
}

/// Gives up all rights that parsing does not need, on a platform that has resource limits only.
#[cfg(not(target_os = "linux"))]
pub(crate) fn lock_down(memory: MemoryLimits, _font_folders: &[PathBuf]) -> Lockdown {
    let missing = || Protection::missing(&format!("{} does not have it", std::env::consts::OS));
    let rlimits = resources::limit(memory);
    Lockdown { rlimits, no_new_privs: missing(), landlock: missing(), seccomp: missing() }
}

/// Ends this process when its parent does, even in the middle of a page.
#[cfg(target_os = "linux")]
fn end_with_parent() {
    // An orphan ends anyway: when it reads its next request, or by the limit on its processor time.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
}
