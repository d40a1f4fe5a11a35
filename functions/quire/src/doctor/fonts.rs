//! The fonts with which text of PDFs is drawn whose fonts they do not contain.

use std::path::PathBuf;

use quire_document::FontIndex;
use quire_sandbox::font_folders_from_env;
use serde::Serialize;

/// The fonts of this machine.
#[derive(Debug, Default, Serialize)]
pub(super) struct FontsInfo {
    /// The folders that are searched; some may not exist.
    folders: Vec<PathBuf>,
    count: usize,
    /// The common scripts that no font has.
    missing_scripts: Vec<&'static str>,
    /// Why the folders are unknown.
    problem: Option<String>,
    pub(super) advice: Vec<String>,
}

impl FontsInfo {
    pub(super) fn of_this_machine() -> Self {
        let folders = match font_folders_from_env() {
            Ok(folders) => folders,
            Err(error) => return Self { problem: Some(error.to_string()), ..Self::default() },
        };
        let index = FontIndex::scan(&folders);
        let missing_scripts = index.missing_scripts();
        let advice = if missing_scripts.is_empty() { Vec::new() } else { vec![advice(&missing_scripts)] };
        Self { count: index.len(), folders, missing_scripts, problem: None, advice }
    }

    /// Describes the fonts in one line.
    pub(super) fn summary(&self) -> String {
        match &self.problem {
            Some(problem) => problem.clone(),
            None if self.missing_scripts.is_empty() => format!("{} for all common scripts", self.count),
            None => format!("{}, none for {}", self.count, self.missing_scripts.join(", ")),
        }
    }
}

fn advice(missing: &[&str]) -> String {
    format!(
        "Install fonts for {} (on Debian: `apt-get install fonts-dejavu-core fonts-noto-core fonts-noto-cjk`), or name \
         a folder with fonts in QUIRE_FONTS: text of PDFs that do not contain their fonts is missing without them.",
        missing.join(", ")
    )
}
