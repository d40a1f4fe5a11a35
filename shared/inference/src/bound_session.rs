//! Sessions on a GPU, with their input and output names, and pinned host memory.

use std::path::Path;

use ort::{
    environment::Environment,
    memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType},
    session::Session,
    value::Tensor,
};

use crate::{
    cuda,
    gpu_options::{GpuOptions, ShapeProfile},
    load_error::LoadError,
    onnxruntime::{enable_cpu_arena, session_builder},
    provider::Provider,
    run_buffer::HostBuffer,
};

/// A session with the names of its input and of its first output.
#[derive(Debug)]
pub struct BoundSession {
    /// The session.
    pub session: Session,
    /// Name of its only input.
    pub input: String,
    /// Name of its first output.
    pub output: String,
}

impl BoundSession {
    /// Loads a session for `bytes`, the (possibly edited) model of the file at `path`; the path is for error messages
    /// only.
    ///
    /// # Errors
    /// [`LoadError`], if ONNX Runtime rejects the model or the provider cannot be registered.
    pub fn load(
        environment: &Environment,
        path: &Path,
        bytes: &[u8],
        options: &GpuOptions,
        profile: &ShapeProfile,
    ) -> Result<Self, LoadError> {
        let mut builder = session_builder(environment, 1).map_err(|error| LoadError::model(path, &error))?;
        match options.provider {
            Provider::Cuda => builder = cuda::register(builder, options.memory_bytes)?,
            Provider::TensorRt => builder = cuda::register_tensorrt(builder, options, profile)?,
            Provider::OnnxRuntime | Provider::OpenVino => {}
        }
        let session = enable_cpu_arena(builder)
            .and_then(|mut builder| builder.commit_from_memory(bytes))
            .map_err(|error| LoadError::model(path, &error))?;
        let name =
            |outlet: Option<&ort::value::Outlet>| outlet.map(|outlet| outlet.name().to_owned()).unwrap_or_default();
        let input = name(session.inputs().first());
        let output = name(session.outputs().first());
        Ok(Self { session, input, output })
    }
}

/// Allocates page-locked (pinned) host memory, which the GPU reads and writes by DMA.
#[derive(Debug)]
pub struct PinnedMemory(Allocator);

impl PinnedMemory {
    /// Creates an allocator for a session that runs on a GPU.
    ///
    /// # Errors
    /// If ONNX Runtime has no pinned allocator for this session.
    pub fn new(session: &Session) -> ort::Result<Self> {
        let info = MemoryInfo::new(AllocationDevice::CUDA_PINNED, 0, AllocatorType::Device, MemoryType::CPUInput)?;
        Allocator::new(session, info).map(Self)
    }

    /// Returns a pinned buffer of `len` values, or `None` if the allocation fails.
    pub fn allocate(&self, len: usize) -> Option<HostBuffer> {
        Tensor::new(&self.0, [len]).ok().map(HostBuffer::pinned)
    }
}
