//! A model's network, whatever runs it.

use ndarray::ArrayViewD;

use crate::{
    model_error::ModelError,
    onnx_file::Outlet,
    run_buffer::{Room, RunBuffer},
};

/// Reads an answer: its shape, and its values in row-major order.
pub type Read<'a> = dyn FnMut(&[i64], &[f32]) -> Result<(), ModelError> + 'a;

/// Maps one tensor to one.
pub trait Network: Send {
    /// What it answers with, as far as that is known before it runs.
    fn outputs(&self) -> Vec<Outlet>;

    /// Runs, and has the answer read where it is: its shape, and its values in row-major order.
    ///
    /// # Errors
    /// When the run fails, and what `read` returns.
    fn run(&mut self, input: ArrayViewD<'_, f32>, read: &mut Read<'_>) -> Result<(), ModelError>;

    /// Room for so many numbers of an input, where the network takes them from fastest.
    fn room(&self, len: usize) -> Room {
        Room::ordinary(len)
    }

    /// [`run`](Self::run) on the input of a buffer.
    ///
    /// # Errors
    /// As for `run`.
    fn run_buffered(&mut self, run: &mut RunBuffer, read: &mut Read<'_>) -> Result<(), ModelError> {
        self.run(run.input().into_dyn(), read)
    }
}
