//! The interface of the graphs, with a fake for tests.

use quire_inference::ModelError;

use crate::{prompt::Prompt, resize::ImageSize, slots::DecodeRow};

/// A generated token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TokenChoice {
    pub(crate) token: u32,
    /// Probability before the repetition penalty.
    pub(crate) probability: f32,
}

/// A vision encoder, and a decoder with a fixed number of slots.
pub(crate) trait HunyuanNetwork: Send {
    /// Encoded image; stays in the memory of the decoder's device.
    type ImageFeatures;

    /// Encodes images of one size, `[N, 3, height, width]`. Returns the features of each.
    ///
    /// # Errors
    /// If the run fails; retry with fewer images.
    fn encode(&mut self, pixels: &[f32], size: ImageSize) -> Result<Vec<Self::ImageFeatures>, ModelError>;

    /// Runs the prompt of a page in a slot, replacing its previous page. Returns the first token.
    ///
    /// # Errors
    /// If the run fails.
    fn prefill(
        &mut self,
        slot: usize,
        prompt: &Prompt,
        picture: &Self::ImageFeatures,
    ) -> Result<TokenChoice, ModelError>;

    /// Returns one more token for each slot from `first` on.
    ///
    /// # Errors
    /// If the run fails; retry with fewer slots. A retry is idempotent: it writes the same tokens to the same
    /// positions.
    fn decode(&mut self, first: usize, rows: &[DecodeRow]) -> Result<Vec<TokenChoice>, ModelError>;
}
