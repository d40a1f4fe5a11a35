//! The one seam for tests: what a model does, with the ONNX sessions and fakes behind it.

use ndarray::{Array3, ArrayView4};
use quire_inference::{HostBuffer, ModelError, RunBuffer};
use quire_tasks::EngineName;

use crate::alphabet::Alphabet;

/// Detection and recognition of text. Values are (v / 255 − 0.5) / 0.5 of blue, green and red.
pub trait OcrModel: Send {
    /// What answers are signed with.
    fn name(&self) -> EngineName;

    /// The classes of [`CtcStep::class`].
    fn alphabet(&self) -> &Alphabet;

    /// For pictures `[N, 3, H, W]`, sides multiples of 32: the probability of each pixel to be text, `[N, H, W]`.
    ///
    /// # Errors
    /// When the run fails; it may be tried again with fewer pages.
    fn detect(&mut self, pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError>;

    /// For text lines `[N, 3, 48, W]`, padded with 0 on their right: the likeliest class at each of W / 8 places.
    ///
    /// # Errors
    /// When the run fails; it may be tried again with fewer lines.
    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<CtcStep>>, ModelError>;

    /// HostBuffer for so many numbers of a run's input or answer, where the model takes them from fastest.
    fn allocate(&mut self, len: usize) -> HostBuffer {
        HostBuffer::heap(len)
    }

    /// [`detect`](Self::detect) in a buffer that is used again.
    ///
    /// # Errors
    /// As for `detect`.
    fn detect_buffered(&mut self, run: &mut RunBuffer) -> Result<(), ModelError> {
        let maps = self.detect(run.input())?;
        run.set_output(maps);
        Ok(())
    }

    /// [`recognize`](Self::recognize) from a buffer that is used again.
    ///
    /// # Errors
    /// As for `recognize`.
    fn recognize_buffered(&mut self, run: &mut RunBuffer) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        self.recognize(run.input())
    }
}

/// What the recognizer sees at one place of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CtcStep {
    /// The likeliest class.
    pub class: u32,
    /// Its probability.
    pub probability: f32,
}
