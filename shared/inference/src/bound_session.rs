//! Sessions whose inputs and outputs are bound to memory that a device reads and writes by itself.

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

/// A session and what its input and first output are called.
#[derive(Debug)]
pub struct BoundSession {
    /// The session.
    pub session: Session,
    /// What its input is called.
    pub input: String,
    /// What its first output is called.
    pub output: String,
}

impl BoundSession {
    /// A session for the model of a file, whose bytes these are.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub fn load(
        environment: &Environment,
        path: &Path,
        bytes: &[u8],
        options: &GpuOptions,
        profile: &ShapeProfile,
    ) -> Result<Self, LoadError> {
        let refused = |error: ort::Error| LoadError::Model { path: path.to_owned(), reason: error.to_string() };
        let mut builder = session_builder(environment, 1).map_err(refused)?;
        match options.provider {
            Provider::Cuda => builder = cuda::register(builder, options.memory_bytes)?,
            Provider::TensorRt => builder = cuda::register_tensorrt(builder, options, profile)?,
            Provider::OnnxRuntime | Provider::OpenVino => {}
        }
        let session =
            enable_cpu_arena(builder).and_then(|mut builder| builder.commit_from_memory(bytes)).map_err(refused)?;
        let name =
            |outlet: Option<&ort::value::Outlet>| outlet.map(|outlet| outlet.name().to_owned()).unwrap_or_default();
        let (input, output) = (name(session.inputs().first()), name(session.outputs().first()));
        Ok(Self { session, input, output })
    }
}

/// Memory that stays where it is.
#[derive(Debug)]
pub struct PinnedMemory(Allocator);

impl PinnedMemory {
    /// Memory for a session on a GPU.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(session: &Session) -> ort::Result<Self> {
        let info = MemoryInfo::new(AllocationDevice::CUDA_PINNED, 0, AllocatorType::Device, MemoryType::CPUInput)?;
        Allocator::new(session, info).map(Self)
    }

    /// HostBuffer for so many numbers, if there is any.
    pub fn allocate(&self, len: usize) -> Option<HostBuffer> {
        Tensor::new(&self.0, [len]).ok().map(HostBuffer::pinned)
    }
}
