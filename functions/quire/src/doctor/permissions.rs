//! Whether other users of this machine have access to documents, texts and libraries.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde::Serialize;

/// The rights of the group and of others.
const OF_OTHERS: u32 = 0o077;
/// The most files of a folder that are checked: an object store may have millions.
const MAX_ENTRIES: usize = 10_000;
/// The most findings of a folder: more of them need no other fix.
const MAX_FINDINGS: usize = 10;

/// The check of a folder.
#[derive(Debug, Serialize)]
pub(super) struct PermissionCheck {
    pub(super) folder: PathBuf,
    /// Whether only this user has access to the folder and its files.
    pub(super) private: bool,
    /// Files and folders to which others have access, or which belong to others.
    pub(super) exposed: Vec<ExposedPath>,
}

/// A file or folder that other users have access to.
#[derive(Debug, Serialize)]
pub(super) struct ExposedPath {
    pub(super) path: PathBuf,
    /// The mode in octal, e.g. `0755`.
    pub(super) mode: String,
    /// The user who owns it.
    pub(super) owner: u32,
}

impl PermissionCheck {
    /// Checks a folder and what is in it; below a folder that others cannot enter, only its owner. A folder that does
    /// not exist is private.
    pub(super) fn of(folder: &Path) -> Self {
        let mut exposed = Vec::new();
        let mut folders = vec![folder.to_owned()];
        check(folder, &mut exposed);
        let mut entries = 0;
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
                entries += 1;
                if entries > MAX_ENTRIES || exposed.len() >= MAX_FINDINGS {
                    break;
                }
                let path = entry.path();
                let is_exposed = check(&path, &mut exposed);
                // A private folder protects what is in it.
                if is_exposed && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                }
            }
        }
        Self { folder: folder.to_owned(), private: exposed.is_empty(), exposed }
    }

    /// Returns how to fix the findings.
    pub(super) fn advice(&self) -> Option<String> {
        let ExposedPath { path, mode, .. } = self.exposed.first()?;
        let folder = self.folder.display();
        Some(format!(
            "Run `chmod -R go= {folder}`, as the owner: other users have access to {} (mode {mode}).",
            path.display()
        ))
    }
}

/// Adds the path if others have access to it. Returns whether they do.
fn check(path: &Path, exposed: &mut Vec<ExposedPath>) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    let mode = metadata.permissions().mode();
    let owner = metadata.uid();
    let is_own = owner == rustix::process::geteuid().as_raw() || owner == 0;
    // The mode of a symbolic link has no meaning.
    let is_exposed = !metadata.is_symlink() && (mode & OF_OTHERS != 0 || !is_own);
    if is_exposed {
        exposed.push(ExposedPath { path: path.to_owned(), mode: format!("{:04o}", mode & 0o7777), owner });
    }
    is_exposed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exposed_files_are_found_and_a_missing_folder_is_private() {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let folder = temporary.path().join("data");
        assert!(PermissionCheck::of(&folder).private);
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("quire.db"), "x").expect("a file");
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("own files");
        set(&folder, 0o700);
        set(&folder.join("quire.db"), 0o600);
        assert!(PermissionCheck::of(&folder).private);
        set(&folder.join("quire.db"), 0o644);
        let check = PermissionCheck::of(&folder);
        assert_eq!((check.private, check.exposed.len(), check.exposed[0].mode.as_str()), (false, 1, "0644"));
        let advice = check.advice().expect("advice");
        assert!(advice.contains("chmod -R go=") && advice.contains("quire.db"), "{advice}");
    }
}
