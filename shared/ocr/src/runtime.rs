//! ONNX Runtime: the one environment of the process, and sessions in it.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ndarray::ArrayViewD;
use ort::{
    environment::Environment,
    ep,
    session::{
        Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
    value::{TensorElementType, TensorRef, ValueType},
};

use crate::{
    ModelError, Provider, cuda,
    network::{Network, Read},
    onnx_file::Outlet,
};

/// What runs the models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The first NVIDIA GPU.
    Cuda,
}

/// Finds out whether CUDA can be used with this build of ONNX Runtime.
///
/// # Errors
/// [`LoadError`] says what is missing.
pub fn check_cuda(onnxruntime: &Path) -> Result<(), LoadError> {
    cuda::require(onnxruntime)
}

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
    #[error("the runtime was already loaded from {}, it cannot be loaded from {}", loaded.display(), asked.display())]
    OtherRuntime {
        /// What the process has.
        loaded: PathBuf,
        /// What was asked for.
        asked: PathBuf,
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

static ENVIRONMENT: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// The process's environment. It stays for good, so that sessions never outlive it.
pub(crate) fn environment(library: &Path) -> Result<Environment, LoadError> {
    let mut environment = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((loaded, environment)) = environment.as_ref() {
        let other = || LoadError::OtherRuntime { loaded: loaded.clone(), asked: library.to_owned() };
        return if loaded == library { Ok(environment.clone()) } else { Err(other()) };
    }
    // The loader takes a relative path from the executable's folder; ours are from the working directory.
    let absolute = std::path::absolute(library).map_err(|error| LoadError::Runtime { reason: error.to_string() })?;
    let builder = ort::init_from(absolute).map_err(|error| LoadError::Runtime { reason: error.to_string() })?;
    let built = builder.with_name("quire").with_telemetry(false).build();
    let built = built.map_err(|error| LoadError::Runtime { reason: error.to_string() })?;
    *environment = Some((library.to_owned(), built.clone()));
    Ok(built)
}

/// A session for the model of a file.
pub(crate) fn session(
    environment: &Environment,
    path: &Path,
    device: Device,
    threads: usize,
) -> Result<Session, LoadError> {
    commit(environment, path, device, threads, |mut builder| builder.commit_from_file(path))
}

/// A session for a model in memory, which is that of the file at `path`, or a part of it.
pub(crate) fn session_of(
    environment: &Environment,
    path: &Path,
    model: &[u8],
    device: Device,
    threads: usize,
) -> Result<Session, LoadError> {
    commit(environment, path, device, threads, |mut builder| builder.commit_from_memory(model))
}

fn commit(
    environment: &Environment,
    path: &Path,
    device: Device,
    threads: usize,
    commit: impl FnOnce(SessionBuilder) -> ort::Result<Session>,
) -> Result<Session, LoadError> {
    let refused = |error: ort::Error| LoadError::Model { path: path.to_owned(), reason: error.to_string() };
    let mut builder = configured(environment, threads).map_err(refused)?;
    if device == Device::Cuda {
        builder = cuda::register(builder, None)?;
    }
    with_cpu_arena(builder).and_then(commit).map_err(refused)
}

pub(crate) fn configured(environment: &Environment, threads: usize) -> ort::Result<SessionBuilder> {
    let builder = Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        // Explicit, because ONNX Runtime counts the host's cores and not the container's.
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        // Every line has another width: patterns of earlier shapes are of no use, and spinning burns what others need.
        .with_memory_pattern(false)?
        .with_intra_op_spinning(false)?;
    Ok(builder)
}

/// Without the arena every run allocates and faults in its memory anew, which costs detection half its speed.
pub(crate) fn with_cpu_arena(builder: SessionBuilder) -> ort::Result<SessionBuilder> {
    Ok(builder.with_execution_providers([ep::CPU::default().with_arena_allocator(true).build()])?)
}

impl Network for Session {
    fn outputs(&self) -> Vec<Outlet> {
        let outlet = |outlet: &ort::value::Outlet| {
            let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
                return Outlet { name: outlet.name().to_owned(), ..Outlet::default() };
            };
            let is_f32 = *ty == TensorElementType::Float32;
            Outlet { name: outlet.name().to_owned(), is_f32, shape: shape.to_vec() }
        };
        Session::outputs(self).iter().map(outlet).collect()
    }

    fn run(&mut self, input: ArrayViewD<'_, f32>, read: &mut Read<'_>) -> Result<(), ModelError> {
        let outputs = Session::run(self, ort::inputs![TensorRef::from_array_view(input)?])?;
        let (shape, values) = outputs[0].try_extract_tensor::<f32>()?;
        read(shape, values)
    }
}

impl From<ort::Error> for ModelError {
    fn from(error: ort::Error) -> Self {
        Self::of_run(error.to_string())
    }
}
