//! The one seam for tests: what a model does, with the ONNX sessions and fakes behind it.

use ndarray::{Array3, ArrayView4};
use quire_tasks::EngineName;

use crate::Alphabet;

/// Detection and recognition of text. Values are (v / 255 − 0.5) / 0.5 of blue, green and red.
pub trait Model: Send {
    /// What answers are signed with.
    fn name(&self) -> EngineName;

    /// The classes of [`Step::class`].
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
    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<Step>>, ModelError>;
}

/// What the recognizer sees at one place of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The likeliest class.
    pub class: u32,
    /// Its probability.
    pub probability: f32,
}

/// Why a run failed. Decision: split it in halves and try again; what fails alone is failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The runtime refused or broke off the run.
    #[error("the model's run failed: {0}")]
    Run(String),
    /// The answer is not of the shape that was asked for.
    #[error("the model answered in the shape {found}, expected {expected}")]
    Shape {
        /// What the input's shape asks for.
        expected: String,
        /// What came.
        found: String,
    },
    /// The answer holds values that are no numbers.
    #[error("the model answered with values that are no numbers")]
    NotANumber,
}
