//! The paths of the located libraries and models.

use std::path::PathBuf;

/// The native libraries and models that every worker needs. Each path is an existing file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeLibraries {
    /// The ONNX Runtime library.
    pub onnxruntime: PathBuf,
    /// The pdfium library.
    pub pdfium: PathBuf,
    /// The text detection model.
    pub detection: PathBuf,
    /// The text recognition model.
    pub recognition: PathBuf,
}

/// The models of PP-OCRv6 small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Models {
    /// The text detection model.
    pub detection: PathBuf,
    /// The text recognition model.
    pub recognition: PathBuf,
}

/// The models of PP-OCRv6 tiny.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TinyModels {
    /// The text detection model.
    pub detection: PathBuf,
    /// The text recognition model.
    pub recognition: PathBuf,
    /// The characters of the recognition model.
    pub dictionary: PathBuf,
}
