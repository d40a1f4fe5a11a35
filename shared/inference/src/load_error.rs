//! Errors while a model is loaded.

use std::path::PathBuf;

use crate::provider::Provider;

/// Why a model could not be loaded. Decision for every variant: refuse to start and print the message.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// ONNX Runtime's shared library is missing, damaged or too old.
    #[error("ONNX Runtime cannot be used: {reason}; set ORT_DYLIB_PATH to a libonnxruntime of version 1.24 or newer")]
    Runtime {
        /// Message of the dynamic loader.
        reason: String,
    },
    /// OpenVINO's libraries are missing, damaged or too old, or do not support this CPU.
    #[error(
        "OpenVINO cannot be used: {reason}; set QUIRE_OPENVINO_DIR to a folder of its libraries, or read with ONNX Runtime"
    )]
    OpenVino {
        /// Message of the dynamic loader.
        reason: String,
    },
    /// The operating system could not start the device thread.
    #[error("no thread could be started for the device: {0}")]
    Thread(#[from] std::io::Error),
    /// This build has no PP-OCR implementation for the provider.
    #[error("PP-OCR cannot be read by {0} in this program")]
    Provider(Provider),
    /// A process can load ONNX Runtime and OpenVINO only once, each from one path.
    #[error("the runtime was already loaded from {}, it cannot be loaded from {}", loaded.display(), requested.display())]
    OtherRuntime {
        /// The library that is loaded.
        loaded: PathBuf,
        /// The library that was requested.
        requested: PathBuf,
    },
    /// A model file is missing, truncated or invalid.
    #[error("{} is no model that can be loaded: {reason}", path.display())]
    Model {
        /// The model file.
        path: PathBuf,
        /// Message of the parser or of the runtime.
        reason: String,
    },
    /// The file is a valid model, but not the expected one.
    #[error("{} is another model than expected: its {part} is {found}, expected {expected}", path.display())]
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
    #[error("{} is no manifest that can be followed: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// The device does not have enough memory for the slots.
    #[error("there is no memory for {slots} slots of {tokens} tokens: {reason}; ask for fewer or smaller ones")]
    Memory {
        /// Requested number of slots.
        slots: usize,
        /// Tokens per slot.
        tokens: usize,
        /// Message of ONNX Runtime.
        reason: String,
    },
    /// This program was compiled without the `cuda` feature.
    #[error("this program was compiled without CUDA: build it with `--features cuda`, or read on the CPU")]
    CudaNotCompiled,
    /// Libraries that CUDA requires are not installed.
    #[error(
        "CUDA cannot be used on this machine: missing {}; set ORT_DYLIB_PATH to the libonnxruntime.so of ONNX Runtime's \
         GPU build and LD_LIBRARY_PATH to the folders of the CUDA 13 and cuDNN 9 libraries, or read on the CPU",
        missing.join(", ")
    )]
    CudaMissing {
        /// The missing libraries.
        missing: Vec<String>,
    },
    /// Libraries that TensorRT requires are not installed.
    #[error(
        "TensorRT cannot be used on this machine: missing {}; set ORT_DYLIB_PATH to the libonnxruntime.so of ONNX Runtime's \
         GPU build and LD_LIBRARY_PATH to the folders of the TensorRT 10, CUDA 13 and cuDNN 9 libraries, or read with CUDA \
         alone",
        missing.join(", ")
    )]
    TensorRtMissing {
        /// The missing libraries.
        missing: Vec<String>,
    },
    /// The libraries are installed, but the GPU does not work.
    #[error("CUDA cannot be used on this machine: {reason}")]
    Cuda {
        /// Message of ONNX Runtime.
        reason: String,
    },
}
