//! Options of a GPU.

use std::{num::NonZero, path::PathBuf};

use crate::provider::Provider;

/// Options of a GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuOptions {
    /// [`Provider::Cuda`], or [`Provider::TensorRt`], which computes with 16-bit floats. Note: with a CPU provider the
    /// same batches run on the CPU, for tests.
    pub provider: Provider,
    /// Memory limit of each session, in bytes. Default: no limit. A run that exceeds it fails with an error, and later
    /// runs are smaller.
    pub memory_bytes: Option<NonZero<usize>>,
    /// Folder for TensorRT's cache of compiled engines. An engine is specific to the GPU model and takes minutes to
    /// build.
    pub engine_cache: PathBuf,
}

/// The minimum, optimum and maximum shapes that TensorRT builds an engine for, e.g. `x:1x3x960x672`; `None` lets it
/// build one for each shape that it meets.
pub type ShapeProfile = Option<[String; 3]>;
