//! Replaces `cuda.rs` in a build without the `cuda` feature: every function returns an error.

use std::{num::NonZero, path::Path};

use ort::session::builder::SessionBuilder;

use crate::{
    gpu_options::{GpuOptions, ShapeProfile},
    load_error::LoadError,
};

/// Returns [`LoadError::CudaNotCompiled`].
///
/// # Errors
/// Always.
pub const fn check_cuda(_library: &Path) -> Result<(), LoadError> {
    Err(LoadError::CudaNotCompiled)
}

/// Same as [`check_cuda`].
///
/// # Errors
/// Always.
pub const fn check_tensorrt(_library: &Path) -> Result<(), LoadError> {
    Err(LoadError::CudaNotCompiled)
}

pub(crate) fn register(
    _builder: SessionBuilder,
    _memory_bytes: Option<NonZero<usize>>,
) -> Result<SessionBuilder, LoadError> {
    Err(LoadError::CudaNotCompiled)
}

pub(crate) fn register_tensorrt(
    _builder: SessionBuilder,
    _options: &GpuOptions,
    _profile: &ShapeProfile,
) -> Result<SessionBuilder, LoadError> {
    Err(LoadError::CudaNotCompiled)
}
