//! Memory of OpenVINO.

use openvino::{ElementType, InferRequest, InferenceError, Shape, Tensor};

/// Numbers where a network reads them, without a copy.
pub(crate) struct OpenVinoTensor {
    tensor: Tensor,
    len: usize,
}

impl OpenVinoTensor {
    /// So many zeros.
    pub(crate) fn new(len: usize) -> Result<Self, InferenceError> {
        Ok(Self { tensor: Tensor::new(ElementType::F32, &Shape::new(&[len as i64])?)?, len })
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn values(&self) -> &[f32] {
        self.tensor.get_data().expect("a tensor of f32 has them")
    }

    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        self.tensor.get_data_mut().expect("a tensor of f32 has them")
    }

    /// Takes its first numbers for a tensor of this shape, or all of them for one side. The memory stays.
    fn set_shape(&mut self, shape: &[i64]) -> Result<(), InferenceError> {
        // What this returns is a second owner of the same tensor, which must not free it.
        std::mem::forget(self.tensor.set_shape(&Shape::new(shape)?)?);
        Ok(())
    }

    /// Has a request read its first numbers as a tensor of this shape.
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
