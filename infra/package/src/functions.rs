//! The Lambda functions, and where their sources are.

use std::path::{Path, PathBuf};

/// A Lambda function.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// The name of the program and of the zip.
    pub name: &'static str,
    /// The Cargo package of the program.
    pub package: &'static str,
    /// Whether it opens PDFs, and needs pdfium in its zip.
    pub pdfium: bool,
}

/// All Lambda functions.
pub const FUNCTIONS: [Function; 6] = [
    Function { name: "submit-api", package: "quire-submit", pdfium: true },
    Function { name: "submit-upload", package: "quire-submit", pdfium: false },
    Function { name: "submit-ingest", package: "quire-submit", pdfium: true },
    Function { name: "submit-sweep", package: "quire-submit", pdfium: false },
    Function { name: "notifier", package: "quire-notifier", pdfium: false },
    Function { name: "dead-letter", package: "quire-dead-letter", pdfium: false },
];

/// Each function with the path of its program.
pub(crate) type Programs = Vec<(Function, PathBuf)>;

/// Returns the root of the repository.
pub(crate) fn repository() -> PathBuf {
    let manifest_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_folder.ancestors().nth(2).unwrap_or(manifest_folder).to_owned()
}
