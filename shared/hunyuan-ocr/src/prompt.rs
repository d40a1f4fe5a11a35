//! The decoder's input for a page.

use quire_ocr::Instruction;
use std::ops::Range;

use crate::{
    manifest::PromptParts,
    positions::{TokenGrid, positions},
    vocabulary::Vocabulary,
};

/// Tokens of a page with their positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// `[length]`
    pub(crate) ids: Vec<i64>,
    /// `[length]`: row of the image features for image tokens, -1 for others.
    pub(crate) image_index: Vec<i64>,
    /// `[4, length]`
    pub(crate) positions: Vec<i64>,
    /// Range of the image tokens.
    pub(crate) image: Range<usize>,
}

impl Prompt {
    /// Creates the prompt for an image with this grid.
    pub(crate) fn new(
        parts: &PromptParts,
        vocabulary: &Vocabulary,
        instruction: &Instruction,
        grid: TokenGrid,
    ) -> Result<Self, tokenizers::Error> {
        let instruction = vocabulary.encode(instruction.as_str())?;
        let start = parts.before_image.len();
        let image = start..start + grid.tokens();
        let picture = std::iter::repeat_n(&parts.image, image.len());
        let after = parts.after_image.iter().chain(&instruction).chain(&parts.after_instruction);
        let ids: Vec<i64> = parts.before_image.iter().chain(picture).chain(after).map(|&id| id.into()).collect();
        let row = |token: usize| if image.contains(&token) { (token - start) as i64 } else { -1 };
        let image_index = (0..ids.len()).map(row).collect();
        let positions = positions(ids.len(), start, grid);
        Ok(Self { ids, image_index, positions, image })
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}
