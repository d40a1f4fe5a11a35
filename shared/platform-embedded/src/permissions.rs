//! The modes of the data folder's files: accessible by their owner only.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use tracing::warn;

/// The mode of a folder.
pub(crate) const FOLDER_MODE: u32 = 0o700;
/// The mode of a file.
pub(crate) const FILE_MODE: u32 = 0o600;
/// The rights of the group and of others.
const OF_OTHERS: u32 = 0o077;

/// Creates a file if it does not exist, accessible by its owner only.
///
/// # Errors
/// If it cannot be created.
pub(crate) fn create_private_file(file: &Path) -> io::Result<()> {
    File::options().append(true).create(true).mode(FILE_MODE).open(file).map(drop)
}

/// Removes the rights of other users from the data folder and what is in it. An earlier version, a backup or an
/// operator may have created it with others. Below a folder that only its owner could enter, nothing is checked: the
/// object store may contain millions of files.
///
/// A file of another user is left as it is, with a warning.
pub(crate) fn restrict_folder(dir: &Path) {
    restrict(dir, FOLDER_MODE);
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        restrict_entry(&entry);
    }
}

fn restrict_entry(entry: &fs::DirEntry) {
    let path = entry.path();
    // A symbolic link is not followed: its target may be anything.
    match entry.file_type() {
        Ok(kind) if kind.is_dir() => {
            let had_others = restrict(&path, FOLDER_MODE);
            if had_others {
                for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
                    restrict_entry(&entry);
                }
            }
        }
        // A file, or the socket of a process.
        Ok(kind) if !kind.is_symlink() => {
            restrict(&path, FILE_MODE);
        }
        _ => {}
    }
}

/// Sets the mode if other users have rights. Returns whether they had.
fn restrict(path: &Path, mode: u32) -> bool {
    let had_others = fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & OF_OTHERS != 0);
    if had_others {
        match fs::set_permissions(path, fs::Permissions::from_mode(mode)) {
            // Another process deleted it.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                warn!(path = %path.display(), %error, "cannot remove the access of other users");
            }
            Ok(()) => {}
        }
    }
    had_others
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it exists").permissions().mode() & 0o777
    }

    #[test]
    fn wide_modes_are_corrected_below_folders_that_others_could_enter() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = folder.path().join("data");
        let set = |name: &str, mode: u32| {
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).expect("the mode can be changed");
        };
        fs::create_dir_all(dir.join("objects/pages")).expect("folders");
        for file in ["quire.db", "quire.db-wal", "objects/pages/1.json"] {
            fs::write(dir.join(file), "x").expect("a file");
            set(file, 0o666);
        }
        for folder in ["", "objects", "objects/pages"] {
            set(folder, 0o777);
        }
        restrict_folder(&dir);
        for folder in ["", "objects", "objects/pages"] {
            assert_eq!(mode(&dir.join(folder)), 0o700, "{folder}");
        }
        for file in ["quire.db", "quire.db-wal", "objects/pages/1.json"] {
            assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
        }
    }

    #[test]
    fn a_file_is_created_for_its_owner_and_keeps_its_content() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("quire.db");
        create_private_file(&file).expect("created");
        assert_eq!(mode(&file), 0o600);
        fs::write(&file, "x").expect("written");
        create_private_file(&file).expect("it exists");
        assert_eq!(fs::read_to_string(&file).expect("text"), "x");
    }
}
