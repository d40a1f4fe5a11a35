//! A loaded model with one input and one output.

use ndarray::ArrayViewD;

use crate::{
    model_error::ModelError,
    onnx_file::TensorInfo,
    run_buffer::{HostBuffer, RunBuffer},
};

/// Callback that receives the output's shape and its values in row-major order.
pub type ReadOutput<'a> = dyn FnMut(&[i64], &[f32]) -> Result<(), ModelError> + 'a;

/// A loaded model that maps one tensor to one tensor, in any runtime.
pub trait InferenceSession: Send {
    /// Returns name, type and shape of the outputs, as far as they are known before a run.
    fn outputs(&self) -> Vec<TensorInfo>;

    /// Runs the model and passes the output to `read` without a copy.
    ///
    /// # Errors
    /// If the run fails or `read` returns an error.
    fn run(&mut self, input: ArrayViewD<'_, f32>, read: &mut ReadOutput<'_>) -> Result<(), ModelError>;

    /// Allocates a buffer of `len` values for inputs, in the memory that the runtime reads fastest.
    fn allocate(&self, len: usize) -> HostBuffer {
        HostBuffer::heap(len)
    }

    /// Same as [`run`](Self::run), with the input of a buffer.
    ///
    /// # Errors
    /// Same as `run`.
    fn run_buffered(&mut self, run: &mut RunBuffer, read: &mut ReadOutput<'_>) -> Result<(), ModelError> {
        self.run(run.input().into_dyn(), read)
    }
}
