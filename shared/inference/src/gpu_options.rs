//! How a GPU is used.

use std::{num::NonZero, path::PathBuf};

use crate::provider::Provider;

/// How a GPU is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuOptions {
    /// [`Provider::Cuda`] or [`Provider::TensorRt`], which computes in 16-bit floats. With another one the same runs are
    /// made on the CPU, for tests.
    pub provider: Provider,
    /// How much of the device's memory each of the two models may have, in bytes; as much as there is, unless said. What a
    /// run cannot have fails it, and later runs are smaller.
    pub memory_bytes: Option<NonZero<usize>>,
    /// Where TensorRT keeps the engines that it builds for this very device, which takes it minutes.
    pub engine_cache: PathBuf,
}

/// The shapes that TensorRT builds an engine for: the smallest, the most usual and the largest.
pub type ShapeProfile = Option<[String; 3]>;
