//! Where a run's input is prepared and its answer is found: used again by later runs, so that none of them waits for the
//! system to hand out and clear tens of megabytes.

use std::time::Duration;

use ndarray::{Array3, ArrayView3, ArrayView4, ArrayViewMut4};
use ort::value::Tensor;

use crate::openvino_tensor::Input;

/// Numbers of this machine's memory.
#[derive(Debug)]
pub struct Room(Place);

#[derive(Debug)]
enum Place {
    Ordinary(Vec<f32>),
    /// Memory that a device reads and writes by itself, because the system never moves it.
    Pinned(Tensor<f32>),
    OpenVino(Input),
}

impl Room {
    /// Room for so many numbers in ordinary memory.
    pub fn ordinary(len: usize) -> Self {
        Self(Place::Ordinary(vec![0.0; len]))
    }

    pub(crate) const fn of_openvino(input: Input) -> Self {
        Self(Place::OpenVino(input))
    }

    pub(crate) const fn pinned(tensor: Tensor<f32>) -> Self {
        Self(Place::Pinned(tensor))
    }

    /// The numbers.
    pub fn numbers(&self) -> &[f32] {
        match &self.0 {
            Place::Ordinary(numbers) => numbers,
            Place::Pinned(tensor) => tensor.extract_tensor().1,
            Place::OpenVino(input) => input.numbers(),
        }
    }

    /// The numbers.
    pub fn numbers_mut(&mut self) -> &mut [f32] {
        match &mut self.0 {
            Place::Ordinary(numbers) => numbers,
            Place::Pinned(tensor) => tensor.extract_tensor_mut().1,
            Place::OpenVino(input) => input.numbers_mut(),
        }
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::ordinary(0)
    }
}

/// Room for one run at a time.
#[derive(Debug, Default)]
pub struct RunBuffer {
    input: Room,
    answer: Room,
    shape: [usize; 4],
    answer_shape: [usize; 3],
    /// How long the run took, where that is not what its caller has waited for it.
    pub busy: Option<Duration>,
}

impl RunBuffer {
    /// A buffer for an input of this shape, and for as many numbers in the answer; what there is already is used where it
    /// is large enough, and holds what it held before.
    pub fn shaped(self, shape: [usize; 4], answer: usize, room: &mut dyn FnMut(usize) -> Room) -> Self {
        let mut at_least = |there: Room, len: usize| if there.numbers().len() < len { room(len) } else { there };
        let input = at_least(self.input, shape.iter().product());
        Self { input, answer: at_least(self.answer, answer), shape, answer_shape: [0; 3], busy: None }
    }

    /// A buffer with a copy of an input.
    pub fn copied(pages: &ArrayView4<'_, f32>) -> Self {
        let (items, channels, height, width) = pages.dim();
        let mut run = Self::default().shaped([items, channels, height, width], 0, &mut Room::ordinary);
        run.input_mut().assign(pages);
        run
    }

    /// The input, `[N, C, H, W]`.
    ///
    /// # Panics
    /// Never: the room is as large as the shape.
    pub fn input(&self) -> ArrayView4<'_, f32> {
        ArrayView4::from_shape(self.shape, self.numbers()).expect("room for the shape")
    }

    /// The input, to be written.
    ///
    /// # Panics
    /// Never: the room is as large as the shape.
    pub fn input_mut(&mut self) -> ArrayViewMut4<'_, f32> {
        let numbers = &mut self.input.numbers_mut()[..self.shape.iter().product()];
        ArrayViewMut4::from_shape(self.shape, numbers).expect("room for the shape")
    }

    /// The input, item after item.
    pub fn numbers(&self) -> &[f32] {
        &self.input.numbers()[..self.shape.iter().product()]
    }

    /// The input where OpenVINO reads it, if it stands there.
    pub(crate) const fn openvino_input(&mut self) -> Option<&mut Input> {
        match &mut self.input.0 {
            Place::OpenVino(input) => Some(input),
            _ => None,
        }
    }

    /// The input, and room for an answer of `[N, H, W]`, for a model that writes it there itself.
    pub fn input_and_answer(&mut self) -> (&[f32], &mut [f32]) {
        let [items, _, height, width] = self.shape;
        self.answer_shape = [items, height, width];
        let len = items * height * width;
        (&self.input.numbers()[..self.shape.iter().product()], &mut self.answer.numbers_mut()[..len])
    }

    /// The shape of the input.
    pub const fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// What the model has answered, `[N, H, W]`; empty before it has.
    ///
    /// # Panics
    /// Never: the room is as large as the shape.
    pub fn answer(&self) -> ArrayView3<'_, f32> {
        let numbers = &self.answer.numbers()[..self.answer_shape.iter().product()];
        ArrayView3::from_shape(self.answer_shape, numbers).expect("room for the shape")
    }

    /// Takes an answer that stands elsewhere.
    pub fn set_answer(&mut self, answer: Array3<f32>) {
        let (items, height, width) = answer.dim();
        self.answer_shape = [items, height, width];
        let numbers = if answer.is_standard_layout() {
            answer.into_raw_vec_and_offset()
        } else {
            (answer.iter().copied().collect(), None)
        };
        // What stands before the first element is of a larger array that this one was a part of.
        let (mut numbers, before) = numbers;
        numbers.drain(..before.unwrap_or(0));
        self.answer = Room(Place::Ordinary(numbers));
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
            Room::ordinary(len)
        };
        let run = RunBuffer::default().shaped([2, 3, 4, 5], 40, &mut room);
        let run = run.shaped([1, 3, 4, 5], 20, &mut room);
        assert_eq!((run.input().dim(), run.answer().dim()), ((1, 3, 4, 5), (0, 0, 0)));
        let run = run.shaped([3, 3, 4, 5], 40, &mut room);
        assert_eq!(run.input().dim(), (3, 3, 4, 5));
        assert_eq!(asked, [120, 40, 180]);
    }

    #[test]
    fn an_answer_is_found_whoever_has_put_it_there() {
        let mut run = RunBuffer::default().shaped([1, 3, 2, 2], 4, &mut Room::ordinary);
        run.input_and_answer().1.fill(0.5);
        assert_eq!(run.answer(), Array3::from_elem((1, 2, 2), 0.5));
        run.set_answer(Array3::from_elem((2, 1, 1), 0.25));
        assert_eq!(run.answer(), Array3::from_elem((2, 1, 1), 0.25));
    }
}
