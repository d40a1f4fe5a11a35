//! The settings of this process that its children inherit: file modes, the limit of open files, and the user.

use std::{
    fs::Permissions,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
};
use tracing::warn;

/// The limit of open files is raised to at most this: some programs, e.g. a Python that downloads libraries, take time
/// in proportion to it.
const MAX_DESCRIPTORS: u64 = 65_536;

/// Makes new files and folders accessible by their owner only, whatever creates them. They contain customers' documents
/// and texts, which other users of the machine must not read.
pub(crate) fn restrict_new_files() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// Raises the soft limit of open files to the hard limit. The soft limit is 1024 on most systems for programs that use
/// `select`, which this one does not.
pub(crate) fn raise_descriptor_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(MAX_DESCRIPTORS).min(MAX_DESCRIPTORS);
    if current.is_some_and(|current| current < wanted) {
        // Without permission, the limits of connections are lower.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}

/// Removes the rights of other users from the cache folder and its entries, if an earlier version created them with
/// such rights. Libraries in it are loaded into this process.
pub(crate) fn restrict_cache() {
    let Ok(cache) = quire_native_libs::cache_folder() else { return };
    restrict(&cache);
    // What is below them is protected by them.
    for entry in std::fs::read_dir(&cache).into_iter().flatten().flatten() {
        restrict(&entry.path());
    }
}

fn restrict(path: &Path) {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return };
    let mode = metadata.permissions().mode();
    // A folder of another user, e.g. in a container image, is that user's; `quire doctor` reports it.
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    if is_own && !metadata.is_symlink() && mode & 0o077 != 0 {
        let restricted = std::fs::set_permissions(path, Permissions::from_mode(mode & 0o700));
        if let Err(error) = restricted {
            warn!(path = %path.display(), %error, "cannot remove the access of other users to the cache");
        }
    }
}

/// Logs a warning if this process has all rights: a fault in native code that parses documents then affects the whole
/// machine.
pub(crate) fn warn_about_root() {
    if rustix::process::geteuid().is_root() {
        warn!("running as root: use a user of its own, so that a fault in a parser cannot affect the whole machine");
    }
}
