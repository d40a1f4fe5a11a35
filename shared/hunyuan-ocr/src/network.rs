//! What the graphs do, so that the reading around them can be tried without.

use quire_inference::ModelError;

use crate::{prompt::Prompt, resize::ImageSize, slots::DecodeRow};

/// A token that the model chose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TokenChoice {
    pub(crate) token: u32,
    /// How sure the model was of it, before the repetition penalty.
    pub(crate) probability: f32,
}

/// A vision encoder, and a decoder with a fixed number of slots.
pub(crate) trait HunyuanNetwork: Send {
    /// A picture as the decoder sees it; it stays where the decoder runs.
    type ImageFeatures;

    /// Looks at pictures of one size, `[N, 3, height, width]`.
    ///
    /// # Errors
    /// When the run fails; it may be tried again with fewer pictures.
    fn encode(&mut self, pixels: &[f32], size: ImageSize) -> Result<Vec<Self::ImageFeatures>, ModelError>;

    /// Runs a page's prompt into a slot, whose former page is forgotten. The first token.
    ///
    /// # Errors
    /// When the run fails.
    fn prefill(
        &mut self,
        slot: usize,
        prompt: &Prompt,
        picture: &Self::ImageFeatures,
    ) -> Result<TokenChoice, ModelError>;

    /// One more token for each of the slots from `first` on.
    ///
    /// # Errors
    /// When the run fails; it may be tried again with fewer slots: the same tokens go to the same places.
    fn decode(&mut self, first: usize, rows: &[DecodeRow]) -> Result<Vec<TokenChoice>, ModelError>;
}
