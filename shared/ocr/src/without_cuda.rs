//! In place of `cuda.rs` in a program that was compiled without it.

use std::path::Path;

use ort::session::builder::SessionBuilder;

use crate::LoadError;

pub(crate) const fn require(_library: &Path) -> Result<(), LoadError> {
    Err(LoadError::CudaNotCompiled)
}

pub(crate) fn register(_builder: SessionBuilder) -> Result<SessionBuilder, LoadError> {
    Err(LoadError::CudaNotCompiled)
}
