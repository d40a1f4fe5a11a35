//! Where a run's input is prepared and its answer is found: used again by later runs, so that none of them waits for the
//! system to hand out and clear tens of megabytes.

use std::time::Duration;

use ndarray::{Array3, ArrayView3, ArrayView4, ArrayViewMut4};
use ort::value::Tensor;

use crate::openvino_tensor::OpenVinoTensor;

/// Numbers of this machine's memory.
#[derive(Debug)]
pub struct HostBuffer(BufferStorage);

#[derive(Debug)]
enum BufferStorage {
    Heap(Vec<f32>),
    /// Memory that a device reads and writes by itself, because the system never moves it.
    Pinned(Tensor<f32>),
    OpenVino(OpenVinoTensor),
}

impl HostBuffer {
    /// HostBuffer for so many numbers in ordinary memory.
    pub fn heap(len: usize) -> Self {
        Self(BufferStorage::Heap(vec![0.0; len]))
    }

    pub(crate) const fn openvino(input: OpenVinoTensor) -> Self {
        Self(BufferStorage::OpenVino(input))
    }

    pub(crate) const fn pinned(tensor: Tensor<f32>) -> Self {
        Self(BufferStorage::Pinned(tensor))
    }

    /// The numbers.
    pub fn values(&self) -> &[f32] {
        match &self.0 {
            BufferStorage::Heap(numbers) => numbers,
            BufferStorage::Pinned(tensor) => tensor.extract_tensor().1,
            BufferStorage::OpenVino(input) => input.values(),
        }
    }

    /// The numbers.
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

/// HostBuffer for one run at a time.
#[derive(Debug, Default)]
pub struct RunBuffer {
    input: HostBuffer,
    output: HostBuffer,
    shape: [usize; 4],
    output_shape: [usize; 3],
    /// How long the run took, where that is not what its caller has waited for it.
    pub run_time: Option<Duration>,
}

impl RunBuffer {
    /// A buffer for an input of this shape, and for as many numbers in the answer; what there is already is used where it
    /// is large enough, and holds what it held before.
    pub fn reshape(self, shape: [usize; 4], answer: usize, room: &mut dyn FnMut(usize) -> HostBuffer) -> Self {
        let mut at_least = |there: HostBuffer, len: usize| if there.values().len() < len { room(len) } else { there };
        let input = at_least(self.input, shape.iter().product());
        Self { input, output: at_least(self.output, answer), shape, output_shape: [0; 3], run_time: None }
    }

    /// A buffer with a copy of an input.
    pub fn from_input(pages: &ArrayView4<'_, f32>) -> Self {
        let (items, channels, height, width) = pages.dim();
        let mut run = Self::default().reshape([items, channels, height, width], 0, &mut HostBuffer::heap);
        run.input_mut().assign(pages);
        run
    }

    /// The input, `[N, C, H, W]`.
    ///
    /// # Panics
    /// Never: the room is as large as the shape.
    pub fn input(&self) -> ArrayView4<'_, f32> {
        ArrayView4::from_shape(self.shape, self.input_values()).expect("room for the shape")
    }

    /// The input, to be written.
    ///
    /// # Panics
    /// Never: the room is as large as the shape.
    pub fn input_mut(&mut self) -> ArrayViewMut4<'_, f32> {
        let numbers = &mut self.input.values_mut()[..self.shape.iter().product()];
        ArrayViewMut4::from_shape(self.shape, numbers).expect("room for the shape")
    }

    /// The input, item after item.
    pub fn input_values(&self) -> &[f32] {
        &self.input.values()[..self.shape.iter().product()]
    }

    /// The input where OpenVINO reads it, if it stands there.
    pub(crate) const fn openvino_input(&mut self) -> Option<&mut OpenVinoTensor> {
        match &mut self.input.0 {
            BufferStorage::OpenVino(input) => Some(input),
            _ => None,
        }
    }

    /// The input, and room for an answer of `[N, H, W]`, for a model that writes it there itself.
    pub fn input_and_output(&mut self) -> (&[f32], &mut [f32]) {
        let [items, _, height, width] = self.shape;
        self.output_shape = [items, height, width];
        let len = items * height * width;
        (&self.input.values()[..self.shape.iter().product()], &mut self.output.values_mut()[..len])
    }

    /// The shape of the input.
    pub const fn input_shape(&self) -> [usize; 4] {
        self.shape
    }

    /// What the model has answered, `[N, H, W]`; empty before it has.
    ///
    /// # Panics
    /// Never: the room is as large as the shape.
    pub fn output(&self) -> ArrayView3<'_, f32> {
        let numbers = &self.output.values()[..self.output_shape.iter().product()];
        ArrayView3::from_shape(self.output_shape, numbers).expect("room for the shape")
    }

    /// Takes an answer that stands elsewhere.
    pub fn set_output(&mut self, answer: Array3<f32>) {
        let (items, height, width) = answer.dim();
        self.output_shape = [items, height, width];
        let numbers = if answer.is_standard_layout() {
            answer.into_raw_vec_and_offset()
        } else {
            (answer.iter().copied().collect(), None)
        };
        // What stands before the first element is of a larger array that this one was a part of.
        let (mut numbers, before) = numbers;
        numbers.drain(..before.unwrap_or(0));
        self.output = HostBuffer(BufferStorage::Heap(numbers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_is_large_enough_is_used_again() {
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
    fn an_answer_is_found_whoever_has_put_it_there() {
        let mut run = RunBuffer::default().reshape([1, 3, 2, 2], 4, &mut HostBuffer::heap);
        run.input_and_output().1.fill(0.5);
        assert_eq!(run.output(), Array3::from_elem((1, 2, 2), 0.5));
        run.set_output(Array3::from_elem((2, 1, 1), 0.25));
        assert_eq!(run.output(), Array3::from_elem((2, 1, 1), 0.25));
    }
}
