//! In place of `cuda.rs` in a program that was compiled without it.

use std::{num::NonZero, path::Path};

use ort::session::builder::SessionBuilder;

use crate::{
    LoadError,
    gpu::{GpuOptions, Profile},
};

pub(crate) const fn require(_library: &Path) -> Result<(), LoadError> {
    Err(LoadError::CudaNotCompiled)
}

pub(crate) const fn require_tensorrt(_library: &Path) -> Result<(), LoadError> {
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
    _profile: &Profile,
) -> Result<SessionBuilder, LoadError> {
    Err(LoadError::CudaNotCompiled)
}
