//! Verifies the files of libraries and models.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::pinned::{PinnedWheel, WheelMember};
use crate::unpack;

/// The result of [`crate::verify`] for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCheck {
    /// The display name of its library, e.g. `ONNX Runtime`.
    pub part: &'static str,
    /// The pinned version; `None` for a file that an environment variable names.
    pub version: Option<&'static str>,
    /// The path of the file.
    pub path: PathBuf,
    /// Its condition.
    pub condition: FileCondition,
    /// The environment variable that names it or its folder.
    pub variable: Option<&'static str>,
}

/// The condition of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileCondition {
    /// It has the pinned hash.
    Valid,
    /// It exists, and this environment variable names it. Its content is not verified.
    Override(&'static str),
    /// It does not exist. [`crate::locate`] would download it, or fail if an environment variable names it.
    Missing,
    /// It exists with other content. If its folder is removed, it is downloaded again.
    Damaged,
}

impl fmt::Display for FileCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Valid => f.write_str("valid"),
            Self::Override(variable) => write!(f, "given by {variable}"),
            Self::Missing => f.write_str("missing"),
            Self::Damaged => f.write_str("damaged: remove its folder to download it again"),
        }
    }
}

impl FileCheck {
    pub(crate) fn given(part: &'static str, variable: &'static str, path: PathBuf) -> Self {
        let condition = if path.is_file() { FileCondition::Override(variable) } else { FileCondition::Missing };
        Self { part, version: None, path, condition, variable: Some(variable) }
    }

    pub(crate) fn pinned(part: &'static PinnedWheel, member: &WheelMember, path: PathBuf) -> Self {
        let condition = check_file(member, &path);
        Self { part: part.title, version: Some(part.version), path, condition, variable: None }
    }
}

/// Checks the hash of one file.
fn check_file(member: &WheelMember, path: &Path) -> FileCondition {
    match unpack::hash_file(path) {
        Ok(hashed) if hashed == (member.size, member.sha256.to_owned()) => FileCondition::Valid,
        Err(error) if error.kind() == io::ErrorKind::NotFound => FileCondition::Missing,
        Ok(_) | Err(_) => FileCondition::Damaged,
    }
}
