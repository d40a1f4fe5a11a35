//! Why models cannot be loaded.

use std::path::PathBuf;

use crate::provider::Provider;

/// Why the models cannot be had. Decision for all of them: refuse to start, and say this.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// ONNX Runtime's shared library is missing, broken or too old.
    #[error("ONNX Runtime cannot be used: {reason}; set ORT_DYLIB_PATH to a libonnxruntime of version 1.24 or newer")]
    Runtime {
        /// In the loader's words.
        reason: String,
    },
    /// OpenVINO's libraries are missing, broken, too old or cannot use this processor.
    #[error(
        "OpenVINO cannot be used: {reason}; set QUIRE_OPENVINO_DIR to a folder of its libraries, or read with ONNX Runtime"
    )]
    OpenVino {
        /// In the loader's words.
        reason: String,
    },
    /// The system has no thread for what owns the device.
    #[error("no thread could be started for the device: {0}")]
    Thread(#[from] std::io::Error),
    /// This program cannot run PP-OCR so.
    #[error("PP-OCR cannot be read by {0} in this program")]
    Provider(Provider),
    /// A process has one ONNX Runtime, and one OpenVINO.
    #[error("the runtime was already loaded from {}, it cannot be loaded from {}", loaded.display(), requested.display())]
    OtherRuntime {
        /// What the process has.
        loaded: PathBuf,
        /// What was asked for.
        requested: PathBuf,
    },
    /// A model's file is missing, truncated or no model.
    #[error("{} is no model that can be loaded: {reason}", path.display())]
    Model {
        /// The model's file.
        path: PathBuf,
        /// In a reader's or the runtime's words.
        reason: String,
    },
    /// A model, but another one.
    #[error("{} is another model than expected: its {part} is {found}, expected {expected}", path.display())]
    OtherModel {
        /// The model's file.
        path: PathBuf,
        /// What differs.
        part: &'static str,
        /// What this engine was made for.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// A folder's manifest is missing or of another kind, or does not go with its files.
    #[error("{} is no manifest that can be followed: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// The device has no memory for the pages in flight.
    #[error("there is no memory for {slots} slots of {tokens} tokens: {reason}; ask for fewer or smaller ones")]
    Memory {
        /// How many slots were asked for.
        slots: usize,
        /// Tokens of each.
        tokens: usize,
        /// In ONNX Runtime's words.
        reason: String,
    },
    /// This program was compiled without CUDA.
    #[error("this program was compiled without CUDA: build it with `--features cuda`, or read on the CPU")]
    CudaNotCompiled,
    /// Libraries that CUDA needs are not on this machine.
    #[error(
        "CUDA cannot be used on this machine: missing {}; set ORT_DYLIB_PATH to the libonnxruntime.so of ONNX Runtime's \
         GPU build and LD_LIBRARY_PATH to the folders of the CUDA 13 and cuDNN 9 libraries, or read on the CPU",
        missing.join(", ")
    )]
    CudaMissing {
        /// The libraries.
        missing: Vec<String>,
    },
    /// Libraries that TensorRT needs are not on this machine.
    #[error(
        "TensorRT cannot be used on this machine: missing {}; set ORT_DYLIB_PATH to the libonnxruntime.so of ONNX Runtime's \
         GPU build and LD_LIBRARY_PATH to the folders of the TensorRT 10, CUDA 13 and cuDNN 9 libraries, or read with CUDA \
         alone",
        missing.join(", ")
    )]
    TensorRtMissing {
        /// The libraries.
        missing: Vec<String>,
    },
    /// The libraries are there, the GPU does not work.
    #[error("CUDA cannot be used on this machine: {reason}")]
    Cuda {
        /// In ONNX Runtime's words.
        reason: String,
    },
}
