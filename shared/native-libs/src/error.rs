//! What can keep a native part away, and what the reader can do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Closes every message: whatever failed, files from elsewhere are the way around it.
const INSTEAD: &str = "To use files that are already there, set ORT_DYLIB_PATH (the ONNX Runtime library), \
    QUIRE_OPENVINO_DIR (the folder of OpenVINO's libraries), QUIRE_PDFIUM_PATH (the pdfium library) and QUIRE_MODELS_DIR (the folder that holds PP-OCRv6_det_small.onnx and \
    PP-OCRv6_rec_small.onnx).";

/// Why a native part cannot be had. The decision is always the same: do not start, show this to the operator, who has
/// to act. The variants tell what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NativesError {
    /// An environment variable points at nothing. Decision: correct or unset it; we never fall back silently.
    #[error("{variable} names {}, which is not an existing file. Correct it, or unset it to have the file fetched. {INSTEAD}", path.display())]
    Override {
        /// The variable.
        variable: &'static str,
        /// What it says, or the file missing in the folder that it names.
        path: PathBuf,
    },
    /// Nothing is pinned for this kind of machine. Decision: bring the files.
    #[error(
        "no prebuilt libraries are known for {os} on {arch}, only for Linux on x86-64 and arm64 (glibc 2.28 or newer) \
         and macOS 14 or newer on arm64. {INSTEAD}"
    )]
    UnsupportedPlatform {
        /// This operating system.
        os: &'static str,
        /// This processor.
        arch: &'static str,
    },
    /// No OpenVINO is pinned for this kind of machine. Decision: read with ONNX Runtime, or bring one.
    #[error(
        "no OpenVINO is known for {} on {}: read with ONNX Runtime, or set QUIRE_OPENVINO_DIR to the folder of its \
         libraries",
        std::env::consts::OS,
        std::env::consts::ARCH
    )]
    NoOpenVino,
    /// Neither a cache folder nor a home folder is named. Decision: name one.
    #[error("there is no folder to keep fetched files in: set QUIRE_CACHE_DIR, or HOME. {INSTEAD}")]
    NoCacheFolder,
    /// The cache folder cannot be used. Decision: name another, or make room.
    #[error("cannot use the cache: {}: {source}. Set QUIRE_CACHE_DIR to a folder that can be written and has 400 MB free. {INSTEAD}", path.display())]
    Cache {
        /// The file or folder at hand.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Python does not start. Decision: install it, or name it.
    #[error(
        "cannot start {python}, which fetches {part} on first use: {source}. Install Python 3 with pip, or set QUIRE_PYTHON to a Python that has pip. {INSTEAD}"
    )]
    PythonMissing {
        /// The command.
        python: String,
        /// What is to be fetched.
        part: String,
        /// What the system said.
        source: io::Error,
    },
    /// Python has no pip. Decision: install it.
    #[error(
        "{python} has no pip, which fetches {part} on first use. Install it (the package python3-pip, or `{python} -m ensurepip`), or set QUIRE_PYTHON to a Python that has pip. {INSTEAD}"
    )]
    PipMissing {
        /// The command.
        python: String,
        /// What is to be fetched.
        part: String,
    },
    /// pip gave up: no network, an index without the wheel, another hash. Decision: repair what its words tell.
    #[error(
        "cannot fetch {part}: `{python} -m pip download` ended with {status} and said last:\n{said}\nCheck the network, and that the package index which pip is configured for can be reached. {INSTEAD}"
    )]
    PipFailed {
        /// The command.
        python: String,
        /// What was to be fetched.
        part: String,
        /// How it ended.
        status: String,
        /// Its last lines, indented.
        said: String,
    },
    /// What arrived is not what is pinned. Decision: never use it; find out who changed it.
    #[error(
        "refused {part}: {what} does not have the pinned size and SHA-256. Nothing was installed. Check the package index or mirror that pip is configured for. {INSTEAD}"
    )]
    Mismatch {
        /// What was fetched.
        part: String,
        /// The wheel, or its member.
        what: String,
    },
}

/// An error of the file system, told with the path that it is about.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> NativesError {
    |source| NativesError::Cache { path: path.to_owned(), source }
}
