//! Tensors in OpenVINO's memory.

use openvino::{ElementType, InferRequest, InferenceError, Shape, Tensor};

/// A buffer that OpenVINO reads without a copy.
pub(crate) struct OpenVinoTensor {
    tensor: Tensor,
    len: usize,
}

impl OpenVinoTensor {
    /// Allocates `len` zeros.
    pub(crate) fn new(len: usize) -> Result<Self, InferenceError> {
        Ok(Self { tensor: Tensor::new(ElementType::F32, &Shape::new(&[len as i64])?)?, len })
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn values(&self) -> &[f32] {
        self.tensor.get_data().expect("the elements are f32")
    }

    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        self.tensor.get_data_mut().expect("the elements are f32")
    }

    /// Changes the shape of the tensor to use the first values of the buffer. Does not reallocate.
    fn set_shape(&mut self, shape: &[i64]) -> Result<(), InferenceError> {
        // The binding returns a second owner of the same tensor; dropping it would be a double free.
        std::mem::forget(self.tensor.set_shape(&Shape::new(shape)?)?);
        Ok(())
    }

    /// Runs a request on the first values of the buffer, as a tensor of this shape. Returns the output.
    pub(crate) fn infer(&mut self, request: &mut InferRequest, shape: &[usize]) -> Result<Tensor, InferenceError> {
        let shape: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
        self.set_shape(&shape)?;
        let output = request
            .set_input_tensor(&self.tensor)
            .and_then(|()| request.infer())
            .and_then(|()| request.get_output_tensor());
        self.set_shape(&[self.len as i64])?;
        output
    }
}

impl std::fmt::Debug for OpenVinoTensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenVinoTensor").field("len", &self.len).finish_non_exhaustive()
    }
}
