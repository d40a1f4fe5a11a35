//! A model's network, whatever runs it.

use ndarray::ArrayViewD;

use crate::{
    model_error::ModelError,
    onnx_file::TensorInfo,
    run_buffer::{HostBuffer, RunBuffer},
};

/// Reads an answer: its shape, and its values in row-major order.
pub type ReadOutput<'a> = dyn FnMut(&[i64], &[f32]) -> Result<(), ModelError> + 'a;

/// Maps one tensor to one.
pub trait InferenceSession: Send {
    /// What it answers with, as far as that is known before it runs.
    fn outputs(&self) -> Vec<TensorInfo>;

    /// Runs, and has the answer read where it is: its shape, and its values in row-major order.
    ///
    /// # Errors
    /// When the run fails, and what `read` returns.
    fn run(&mut self, input: ArrayViewD<'_, f32>, read: &mut ReadOutput<'_>) -> Result<(), ModelError>;

    /// HostBuffer for so many numbers of an input, where the network takes them from fastest.
    fn allocate(&self, len: usize) -> HostBuffer {
        HostBuffer::heap(len)
    }

    /// [`run`](Self::run) on the input of a buffer.
    ///
    /// # Errors
    /// As for `run`.
    fn run_buffered(&mut self, run: &mut RunBuffer, read: &mut ReadOutput<'_>) -> Result<(), ModelError> {
        self.run(run.input().into_dyn(), read)
    }
}
