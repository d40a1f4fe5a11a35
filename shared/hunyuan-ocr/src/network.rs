//! What the graphs do, so that the reading around them can be tried without.

use quire_inference::ModelError;

use crate::{prompt::Prompt, resize::Size, slots::Row};

/// A token that the model chose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Choice {
    pub(crate) token: u32,
    /// How sure the model was of it, before the repetition penalty.
    pub(crate) probability: f32,
}

/// A vision encoder, and a decoder with a fixed number of slots.
pub(crate) trait Network: Send {
    /// A picture as the decoder sees it; it stays where the decoder runs.
    type Features;

    /// Looks at pictures of one size, `[N, 3, height, width]`.
    ///
    /// # Errors
    /// When the run fails; it may be tried again with fewer pictures.
    fn encode(&mut self, pixels: &[f32], size: Size) -> Result<Vec<Self::Features>, ModelError>;

    /// Runs a page's prompt into a slot, whose former page is forgotten. The first token.
    ///
    /// # Errors
    /// When the run fails.
    fn prefill(&mut self, slot: usize, prompt: &Prompt, picture: &Self::Features) -> Result<Choice, ModelError>;

    /// One more token for each of the slots from `first` on.
    ///
    /// # Errors
    /// When the run fails; it may be tried again with fewer slots: the same tokens go to the same places.
    fn decode(&mut self, first: usize, rows: &[Row]) -> Result<Vec<Choice>, ModelError>;
}
