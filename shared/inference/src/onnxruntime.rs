//! ONNX Runtime: the process-wide environment, and sessions.

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
    value::{Outlet, TensorElementType, TensorRef, ValueType},
};

use crate::{
    cuda,
    device::Device,
    load_error::LoadError,
    model_error::ModelError,
    onnx_file::TensorInfo,
    session::{InferenceSession, ReadOutput},
};

static ENVIRONMENT: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// Returns the process-wide environment, and loads the library on the first call. The environment is never released, so
/// sessions cannot outlive it. Thread-safe: a mutex protects it.
///
/// # Errors
/// [`LoadError::Runtime`], if the library cannot be loaded; [`LoadError::OtherRuntime`], if another one is loaded.
pub fn load_environment(library: &Path) -> Result<Environment, LoadError> {
    let mut environment = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((loaded, environment)) = environment.as_ref() {
        if loaded != library {
            return Err(LoadError::OtherRuntime { loaded: loaded.clone(), requested: library.to_owned() });
        }
        return Ok(environment.clone());
    }
    // The loader resolves a relative path from the executable's folder, but ours is relative to the working directory.
    let absolute = std::path::absolute(library).map_err(|error| LoadError::Runtime { reason: error.to_string() })?;
    let builder = ort::init_from(absolute).map_err(|error| LoadError::Runtime { reason: error.to_string() })?;
    let built = builder.with_name("quire").with_telemetry(false).build();
    let built = built.map_err(|error| LoadError::Runtime { reason: error.to_string() })?;
    *environment = Some((library.to_owned(), built.clone()));
    Ok(built)
}

/// Loads a session from a model file.
///
/// # Errors
/// [`LoadError`], if the model or the device cannot be used.
pub fn load_session(
    environment: &Environment,
    path: &Path,
    device: Device,
    threads: usize,
) -> Result<Session, LoadError> {
    build_session(environment, path, device, threads, |mut builder| builder.commit_from_file(path))
}

/// Loads a session from a model in memory. `path` is the file that it comes from, for error messages.
///
/// # Errors
/// [`LoadError`], if the model or the device cannot be used.
pub fn load_session_from_memory(
    environment: &Environment,
    path: &Path,
    model: &[u8],
    device: Device,
    threads: usize,
) -> Result<Session, LoadError> {
    build_session(environment, path, device, threads, |mut builder| builder.commit_from_memory(model))
}

/// Configures and builds a session.
fn build_session(
    environment: &Environment,
    path: &Path,
    device: Device,
    threads: usize,
    commit: impl FnOnce(SessionBuilder) -> ort::Result<Session>,
) -> Result<Session, LoadError> {
    let mut builder = session_builder(environment, threads).map_err(|error| LoadError::model(path, &error))?;
    if device == Device::Cuda {
        builder = cuda::register(builder, None)?;
    }
    enable_cpu_arena(builder).and_then(commit).map_err(|error| LoadError::model(path, &error))
}

pub(crate) fn session_builder(environment: &Environment, threads: usize) -> ort::Result<SessionBuilder> {
    let builder = Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        // Set explicitly, because ONNX Runtime's default counts the host's cores instead of the container's.
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        // Memory patterns of earlier shapes do not help, because every line has another width; spinning threads would
        // take CPU time from other workers.
        .with_memory_pattern(false)?
        .with_intra_op_spinning(false)?;
    Ok(builder)
}

/// Enables the CPU arena. Without it every run allocates memory and takes page faults, which halves the speed of
/// detection.
pub(crate) fn enable_cpu_arena(builder: SessionBuilder) -> ort::Result<SessionBuilder> {
    Ok(builder.with_execution_providers([ep::CPU::default().with_arena_allocator(true).build()])?)
}

/// Describes an input or output of a session.
fn tensor_info(outlet: &Outlet) -> TensorInfo {
    let name = outlet.name().to_owned();
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
        return TensorInfo { name, ..TensorInfo::default() };
    };
    TensorInfo { name, is_f32: *ty == TensorElementType::Float32, shape: shape.to_vec() }
}

impl InferenceSession for Session {
    fn outputs(&self) -> Vec<TensorInfo> {
        Session::outputs(self).iter().map(tensor_info).collect()
    }

    fn run(&mut self, input: ArrayViewD<'_, f32>, read: &mut ReadOutput<'_>) -> Result<(), ModelError> {
        let outputs = Session::run(self, ort::inputs![TensorRef::from_array_view(input)?])?;
        let (shape, values) = outputs[0].try_extract_tensor::<f32>()?;
        read(shape, values)
    }
}
