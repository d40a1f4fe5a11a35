//! Refuses files that other users of this machine could replace: loading a library runs its code.

use std::io;
use std::path::Path;

/// Why a file is refused: another user can change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changeable {
    /// The path of the file, or of a folder above it.
    pub(crate) path: std::path::PathBuf,
    /// Who can change it, and how to change that.
    pub(crate) why: String,
}

/// Checks the owner and the permissions of a file, of its folder and, for write permissions, of all folders above.
///
/// # Errors
/// Of the file system.
pub(crate) fn check(file: &Path) -> io::Result<Result<(), Changeable>> {
    imp::check(file)
}

/// Takes the write permission of other users from a folder of this user and from the files in it. Ignores what belongs
/// to somebody else: [`check`] reports it.
pub(crate) fn close(folder: &Path) {
    imp::close(folder);
}

/// Creates a folder, and the folders above it, that only this user may enter.
///
/// # Errors
/// Of the file system.
pub(crate) fn create(folder: &Path) -> io::Result<()> {
    imp::create(folder)
}

#[cfg(unix)]
mod imp {
    use std::fs::{self, DirBuilder, Metadata, Permissions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
    use std::path::Path;

    use super::Changeable;

    const GROUP: u32 = 0o020;
    const OTHERS: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    const ROOT: u32 = 0;

    pub(super) fn check(file: &Path) -> io::Result<Result<(), Changeable>> {
        let file = file.canonicalize()?;
        for (depth, path) in file.ancestors().enumerate() {
            let metadata = fs::metadata(path)?;
            // Whoever owns a folder further above is the administrator's choice, e.g. in a container.
            let why = if depth < 2 { changeable_by(&metadata) } else { replaceable_by_all(&metadata) };
            if let Some(why) = why {
                return Ok(Err(Changeable { path: path.to_owned(), why }));
            }
        }
        Ok(Ok(()))
    }

    fn changeable_by(metadata: &Metadata) -> Option<String> {
        let (owner, mode) = (metadata.uid(), metadata.mode());
        if owner != ROOT && owner != own_user() {
            return Some(format!("it belongs to user {owner}: it must belong to root or to the user of this process"));
        }
        let writers = if mode & OTHERS != 0 {
            "all users"
        } else if mode & GROUP != 0 && metadata.gid() != ROOT {
            "its group"
        } else {
            return None;
        };
        Some(format!("{writers} can write it: run `chmod go-w` on it"))
    }

    /// In a sticky folder, as `/tmp`, only the owner of an entry may replace it.
    fn replaceable_by_all(metadata: &Metadata) -> Option<String> {
        let mode = metadata.mode();
        let is_open = mode & OTHERS != 0 && mode & STICKY == 0;
        is_open.then(|| "all users can write it: run `chmod o-w` on it".to_owned())
    }

    fn own_user() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    pub(super) fn close(folder: &Path) {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in entries.chain([folder.to_owned()]) {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            let mode = metadata.mode();
            if metadata.is_symlink() || metadata.uid() != own_user() || mode & (GROUP | OTHERS) == 0 {
                continue;
            }
            match fs::set_permissions(&path, Permissions::from_mode(mode & 0o7777 & !(GROUP | OTHERS))) {
                Ok(()) => tracing::warn!(path = %path.display(), "other users could write this: corrected"),
                Err(error) => tracing::warn!(path = %path.display(), %error, "other users can write this"),
            }
        }
    }

    pub(super) fn create(folder: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)
    }
}

#[cfg(not(unix))]
mod imp {
    use std::io;
    use std::path::Path;

    use super::Changeable;

    pub(super) fn check(_file: &Path) -> io::Result<Result<(), Changeable>> {
        Ok(Ok(()))
    }

    pub(super) fn close(_folder: &Path) {}

    pub(super) fn create(folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)
    }
}
