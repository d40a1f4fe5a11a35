//! Buffers for the input and output of a run. They are reused, because allocating and clearing tens of megabytes per
//! run is slow.

use std::time::Duration;

use ndarray::{Array3, ArrayView3, ArrayView4, ArrayViewMut4};
use ort::value::Tensor;

use crate::openvino_tensor::OpenVinoTensor;

/// A buffer of 32-bit floats in host memory.
#[derive(Debug)]
pub struct HostBuffer(BufferStorage);

#[derive(Debug)]
enum BufferStorage {
    Heap(Vec<f32>),
    /// Page-locked memory, which a GPU reads and writes by DMA.
    Pinned(Tensor<f32>),
    OpenVino(OpenVinoTensor),
}

impl HostBuffer {
    /// Allocates `len` zeros on the heap.
    pub fn heap(len: usize) -> Self {
        Self(BufferStorage::Heap(vec![0.0; len]))
    }

    pub(crate) const fn openvino(input: OpenVinoTensor) -> Self {
        Self(BufferStorage::OpenVino(input))
    }

    pub(crate) const fn pinned(tensor: Tensor<f32>) -> Self {
        Self(BufferStorage::Pinned(tensor))
    }

    /// The values.
    pub fn values(&self) -> &[f32] {
        match &self.0 {
            BufferStorage::Heap(numbers) => numbers,
            BufferStorage::Pinned(tensor) => tensor.extract_tensor().1,
            BufferStorage::OpenVino(input) => input.values(),
        }
    }

    /// The values.
    pub fn values_mut(&mut self) -> &mut [f32] {
        match &mut self.0 {
            BufferStorage::Heap(numbers) => numbers,
            BufferStorage::Pinned(tensor) => tensor.extract_tensor_mut().1,
            BufferStorage::OpenVino(input) => input.values_mut(),
        }
    }
}

impl Default for HostBuffer {
    fn default() -> Self {
        Self::heap(0)
    }
}

/// Input and output buffers of one run.
#[derive(Debug, Default)]
pub struct RunBuffer {
    input: HostBuffer,
    output: HostBuffer,
    shape: [usize; 4],
    output_shape: [usize; 3],
    /// How long the run took on the device, if that is not the time that the caller measures, e.g. because it waited in
    /// a queue.
    pub run_time: Option<Duration>,
}

impl RunBuffer {
    /// Returns the buffers for an input of `shape` and an output of `answer` values. A buffer that is too small is
    /// replaced by one from `room`; otherwise it keeps its contents.
    #[must_use]
    pub fn reshape(self, shape: [usize; 4], answer: usize, room: &mut dyn FnMut(usize) -> HostBuffer) -> Self {
        let mut at_least = |there: HostBuffer, len: usize| if there.values().len() < len { room(len) } else { there };
        let input = at_least(self.input, shape.iter().product());
        Self { input, output: at_least(self.output, answer), shape, output_shape: [0; 3], run_time: None }
    }

    /// Returns a buffer with a copy of `pages`.
    pub fn from_input(pages: &ArrayView4<'_, f32>) -> Self {
        let (items, channels, height, width) = pages.dim();
        let mut run = Self::default().reshape([items, channels, height, width], 0, &mut HostBuffer::heap);
        run.input_mut().assign(pages);
        run
    }

    /// The input, `[N, C, H, W]`.
    ///
    /// # Panics
    /// Never: the buffer is large enough for the shape.
    pub fn input(&self) -> ArrayView4<'_, f32> {
        ArrayView4::from_shape(self.shape, self.input_values()).expect("the buffer is large enough")
    }

    /// The input, mutable.
    ///
    /// # Panics
    /// Never: the buffer is large enough for the shape.
    pub fn input_mut(&mut self) -> ArrayViewMut4<'_, f32> {
        let numbers = &mut self.input.values_mut()[..self.shape.iter().product()];
        ArrayViewMut4::from_shape(self.shape, numbers).expect("the buffer is large enough")
    }

    /// The input as a slice, in row-major order.
    pub fn input_values(&self) -> &[f32] {
        &self.input.values()[..self.shape.iter().product()]
    }

    /// Returns the input if it is in OpenVINO's memory.
    pub(crate) const fn openvino_input(&mut self) -> Option<&mut OpenVinoTensor> {
        match &mut self.input.0 {
            BufferStorage::OpenVino(input) => Some(input),
            _ => None,
        }
    }

    /// Returns the input and a slice for an output of `[N, H, W]` that the model writes directly.
    pub fn input_and_output(&mut self) -> (&[f32], &mut [f32]) {
        let [items, _, height, width] = self.shape;
        self.output_shape = [items, height, width];
        let len = items * height * width;
        (&self.input.values()[..self.shape.iter().product()], &mut self.output.values_mut()[..len])
    }

    /// Shape of the input, `[N, C, H, W]`.
    pub const fn input_shape(&self) -> [usize; 4] {
        self.shape
    }

    /// Returns the output, `[N, H, W]`; empty before the run.
    ///
    /// # Panics
    /// Never: the buffer is large enough for the shape.
    pub fn output(&self) -> ArrayView3<'_, f32> {
        let numbers = &self.output.values()[..self.output_shape.iter().product()];
        ArrayView3::from_shape(self.output_shape, numbers).expect("the buffer is large enough")
    }

    /// Replaces the output by an array.
    pub fn set_output(&mut self, answer: Array3<f32>) {
        let (items, height, width) = answer.dim();
        self.output_shape = [items, height, width];
        let numbers = if answer.is_standard_layout() {
            answer.into_raw_vec_and_offset()
        } else {
            (answer.iter().copied().collect(), None)
        };
        // The array may be a slice of a larger one: remove the values before its first element.
        let (mut numbers, before) = numbers;
        numbers.drain(..before.unwrap_or(0));
        self.output = HostBuffer(BufferStorage::Heap(numbers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_enough_buffers_are_reused() {
        let mut asked = Vec::new();
        let mut room = |len| {
            asked.push(len);
            HostBuffer::heap(len)
        };
        let run = RunBuffer::default().reshape([2, 3, 4, 5], 40, &mut room);
        let run = run.reshape([1, 3, 4, 5], 20, &mut room);
        assert_eq!((run.input().dim(), run.output().dim()), ((1, 3, 4, 5), (0, 0, 0)));
        let run = run.reshape([3, 3, 4, 5], 40, &mut room);
        assert_eq!(run.input().dim(), (3, 3, 4, 5));
        assert_eq!(asked, [120, 40, 180]);
    }

    #[test]
    fn the_output_is_found_in_either_buffer() {
        let mut run = RunBuffer::default().reshape([1, 3, 2, 2], 4, &mut HostBuffer::heap);
        run.input_and_output().1.fill(0.5);
        assert_eq!(run.output(), Array3::from_elem((1, 2, 2), 0.5));
        run.set_output(Array3::from_elem((2, 1, 1), 0.25));
        assert_eq!(run.output(), Array3::from_elem((2, 1, 1), 0.25));
    }
}
