//! The documentation is true: links resolve, commands run, tables match the source, and the picture shows what the
//! program reads. `tests/README.md` describes the conventions for Markdown files.

mod cargo_commands;
mod limits;
mod links;
mod markdown;
mod picture;
mod quire_help;
mod runner;
mod server;
mod variables;

use std::{
    fs,
    path::{Path, PathBuf},
};

use markdown::Document;

/// The program under test.
const QUIRE: &str = env!("CARGO_BIN_EXE_quire");

/// Folders without documentation of ours.
const SKIPPED_FOLDERS: [&str; 6] = ["target", ".git", "node_modules", "venv", ".venv", ".terraform"];

/// The root of the repository.
fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the repository exists")
}

/// Every Markdown file of the repository, sorted by path.
fn documents() -> Vec<Document> {
    let root = root();
    let mut paths = Vec::new();
    collect(&root, "md", &mut paths);
    paths.sort();
    assert!(paths.len() >= 10, "too few Markdown files below {}: {paths:?}", root.display());
    paths.iter().map(|path| Document::read(&root, path)).collect()
}

/// Appends the files below `folder` with this extension.
fn collect(folder: &Path, extension: &str, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the folder can be listed").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() {
            if !SKIPPED_FOLDERS.contains(&name.as_str()) {
                collect(&path, extension, paths);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            paths.push(path);
        }
    }
}

/// Fails with all problems at once, so that one run shows everything that must be changed.
fn assert_no_problems(problems: &[String]) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}
