//! The model interface, implemented by the inference sessions and by fakes in tests.

use ndarray::{Array3, ArrayView4};
use quire_inference::{HostBuffer, ModelError, RunBuffer};
use quire_tasks::EngineName;

use crate::{alphabet::Alphabet, detection::BoxThresholds};

/// A text detection and a text recognition model. Inputs are (v / 255 − 0.5) / 0.5, in the order blue, green, red.
pub trait OcrModel: Send {
    /// Returns the engine name in results.
    fn name(&self) -> EngineName;

    /// Returns the classes of [`CtcStep::class`].
    fn alphabet(&self) -> &Alphabet;

    /// Returns the thresholds for the maps of [`detect`](Self::detect). Default: those of PP-OCRv6 small.
    fn box_thresholds(&self) -> BoxThresholds {
        BoxThresholds::default()
    }

    /// Returns the factor of the width of line images, by which a model needs more columns than PP-OCRv6 small.
    /// Default: 1.
    fn width_factor(&self) -> f32 {
        1.0
    }

    /// Detects text in pages `[N, 3, H, W]`, with sides that are multiples of 32. Returns the probability of each pixel
    /// to be text, `[N, H, W]`.
    ///
    /// # Errors
    /// If the run fails; retry with fewer pages.
    fn detect(&mut self, pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError>;

    /// Recognizes line images `[N, 3, 48, W]`, padded with 0 on the right. Returns the most probable class of each of W
    /// / 8 steps.
    ///
    /// # Errors
    /// If the run fails; retry with fewer lines.
    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<CtcStep>>, ModelError>;

    /// Allocates a buffer of `len` values for inputs or outputs, in the memory that the device reads fastest.
    fn allocate(&mut self, len: usize) -> HostBuffer {
        HostBuffer::heap(len)
    }

    /// Same as [`detect`](Self::detect), with reusable buffers.
    ///
    /// # Errors
    /// Same as `detect`.
    fn detect_buffered(&mut self, run: &mut RunBuffer) -> Result<(), ModelError> {
        let maps = self.detect(run.input())?;
        run.set_output(maps);
        Ok(())
    }

    /// Same as [`recognize`](Self::recognize), with reusable buffers. A model that can tell scripts apart sets the
    /// output to their scores at each step, `[N, W / 8, SCRIPTS]`.
    ///
    /// # Errors
    /// Same as `recognize`.
    fn recognize_buffered(&mut self, run: &mut RunBuffer) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        self.recognize(run.input())
    }
}

/// The recognizer's output at one step of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CtcStep {
    /// The most probable class.
    pub class: u32,
    /// Its probability.
    pub probability: f32,
}
