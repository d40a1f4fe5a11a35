//! The folders with fonts that children may read.

use std::path::PathBuf;

use quire_document::SYSTEM_FONT_FOLDERS;
use quire_telemetry::env::{self, Misconfigured};

/// The variable with additional folders, separated by colons.
const FONTS: &str = "QUIRE_FONTS";

/// Returns the folders of the system's fonts.
pub(crate) fn system_folders() -> Vec<PathBuf> {
    SYSTEM_FONT_FOLDERS.iter().map(PathBuf::from).collect()
}

/// Reads `QUIRE_FONTS`: returns its folders, followed by those of the system.
///
/// # Errors
/// [`Misconfigured`] when one of them is not a folder.
pub fn font_folders_from_env() -> Result<Vec<PathBuf>, Misconfigured> {
    let Some(value) = env::text(FONTS)? else { return Ok(system_folders()) };
    let mut folders: Vec<PathBuf> = std::env::split_paths(&value).filter(|folder| folder.is_absolute()).collect();
    if folders.is_empty() || folders.len() < std::env::split_paths(&value).count() {
        let why = "must be absolute paths of folders, separated by colons".to_owned();
        return Err(Misconfigured { name: FONTS, value, why });
    }
    if let Some(missing) = folders.iter().find(|folder| !folder.is_dir()) {
        let why = format!("{} is not a folder", missing.display());
        return Err(Misconfigured { name: FONTS, value, why });
    }
    folders.extend(system_folders());
    Ok(folders)
}
