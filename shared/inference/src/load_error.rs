//! Errors while a model is loaded.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

use crate::provider::Provider;

/// Why a model could not be loaded. Decision for every variant: refuse to start and print the message.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// ONNX Runtime's shared library is missing, damaged or too old.
    #[error("cannot load ONNX Runtime: {reason}; set ORT_DYLIB_PATH to libonnxruntime, version 1.24 or newer")]
    Runtime {
        /// Message of the dynamic loader.
        reason: String,
    },
    /// OpenVINO's libraries are missing, damaged or too old, or do not support this CPU.
    #[error(
        "cannot load OpenVINO: {reason}; set QUIRE_OPENVINO_DIR to the folder of its libraries, or use ONNX Runtime"
    )]
    OpenVino {
        /// Message of the dynamic loader.
        reason: String,
    },
    /// The operating system could not start the device thread.
    #[error("cannot start the device thread: {0}")]
    Thread(#[from] std::io::Error),
    /// This build has no PP-OCR implementation for the provider.
    #[error("this build does not support PP-OCR with {0}")]
    Provider(Provider),
    /// A process can load ONNX Runtime and OpenVINO only once, each from one path.
    #[error(
        "cannot load the runtime from {}: it is already loaded from {}",
        requested.display(),
        loaded.display()
    )]
    OtherRuntime {
        /// The library that is loaded.
        loaded: PathBuf,
        /// The library that was requested.
        requested: PathBuf,
    },
    /// A model file is missing, truncated or invalid.
    #[error("cannot load the model {}: {reason}", path.display())]
    Model {
        /// The model file.
        path: PathBuf,
        /// Message of the parser or of the runtime.
        reason: String,
    },
    /// The file is a valid model, but not the expected one.
    #[error("{} is not the expected model: its {part} is {found}, expected {expected}", path.display())]
    OtherModel {
        /// The model file.
        path: PathBuf,
        /// The part that differs, e.g. `input`.
        part: &'static str,
        /// What the engine requires.
        expected: String,
        /// What the file contains.
        found: String,
    },
    /// The manifest of a model folder is missing, has another format, or does not match the other files.
    #[error("invalid manifest {}: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// The device does not have enough memory for the slots.
    #[error("not enough memory for {slots} slots of {tokens} tokens: {reason}; configure fewer or smaller slots")]
    Memory {
        /// Requested number of slots.
        slots: usize,
        /// Tokens per slot.
        tokens: usize,
        /// Message of ONNX Runtime.
        reason: String,
    },
    /// This program was compiled without the `cuda` feature.
    #[error("this program was compiled without CUDA; build it with `--features cuda`, or use the CPU")]
    CudaNotCompiled,
    /// Libraries that CUDA requires are not installed.
    #[error(
        "cannot use CUDA: missing {}; set ORT_DYLIB_PATH to the libonnxruntime.so of ONNX Runtime's \
         GPU build and LD_LIBRARY_PATH to the folders of the CUDA 13 and cuDNN 9 libraries, or use the CPU",
        missing.join(", ")
    )]
    CudaMissing {
        /// The missing libraries.
        missing: Vec<String>,
    },
    /// Libraries that TensorRT requires are not installed.
    #[error(
        "cannot use TensorRT: missing {}; set ORT_DYLIB_PATH to the libonnxruntime.so of ONNX Runtime's \
         GPU build and LD_LIBRARY_PATH to the folders of the TensorRT 10, CUDA 13 and cuDNN 9 libraries, or use CUDA \
         alone",
        missing.join(", ")
    )]
    TensorRtMissing {
        /// The missing libraries.
        missing: Vec<String>,
    },
    /// The libraries are installed, but the GPU does not work.
    #[error("cannot use CUDA: {reason}")]
    Cuda {
        /// Message of ONNX Runtime.
        reason: String,
    },
}

impl LoadError {
    /// Returns [`LoadError::Model`] with the message of an error.
    pub fn model(path: &Path, error: &impl Display) -> Self {
        Self::Model { path: path.to_owned(), reason: error.to_string() }
    }

    /// Returns [`LoadError::Cuda`] with the message of an error.
    pub fn cuda(error: &impl Display) -> Self {
        Self::Cuda { reason: error.to_string() }
    }
}
