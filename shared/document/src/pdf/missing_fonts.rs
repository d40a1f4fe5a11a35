//! Finds the text of a page that pdfium cannot draw, because the document does not contain its font and the machine has
//! no substitute.

use std::collections::{BTreeMap, BTreeSet};

use pdfium_render::prelude::{PdfPage, PdfPageTextChar, PdfiumError};

use super::{
    content::PageContent,
    substitutes::{Substitutes, is_standard_latin},
};

/// The most characters of a page that are examined.
const MAX_CHARACTERS: usize = 50_000;

/// Returns whether a text is incomplete without a character: not for signs, e.g. circled letters.
fn is_letter(character: char) -> bool {
    character.is_alphabetic() && !('\u{2460}'..='\u{27bf}').contains(&character)
}

/// Letters of many scripts, for which a font is chosen when the missing ones are unknown.
const ANY_LETTERS: &str = "ЖяĄęΩςấأבกअ한国";

/// The letters that are not drawn, and the names of their fonts.
#[derive(Debug, Default)]
pub(super) struct MissingText {
    letters: BTreeMap<char, BTreeSet<String>>,
    /// The fonts of missing letters that are unknown.
    undrawn_fonts: BTreeSet<String>,
}

impl MissingText {
    /// Examines the text of an open page with this content.
    pub(super) fn of_page(
        page: &PdfPage<'_>,
        content: &PageContent,
        substitutes: &Substitutes,
    ) -> Result<Self, PdfiumError> {
        let mut missing = Self { undrawn_fonts: content.undrawn_fonts(), ..Self::default() };
        if !content.uses_foreign_fonts() {
            return Ok(missing);
        }
        let text = page.text()?;
        for character in text.chars().iter().take(MAX_CHARACTERS) {
            let Some(letter) = char::from_u32(character.unicode_value()) else { continue };
            if is_letter(letter) && !is_standard_latin(letter) {
                missing.add(&character, letter, substitutes);
            }
        }
        Ok(missing)
    }

    fn add(&mut self, character: &PdfPageTextChar<'_>, letter: char, substitutes: &Substitutes) {
        let Ok(object) = character.text_object() else { return };
        let font = object.font();
        // The invisible text layer of a scan needs no font.
        if !object.is_visible() || font.is_embedded().unwrap_or(true) || substitutes.covers(&font.family(), letter) {
            return;
        }
        self.letters.entry(letter).or_default().insert(font.name());
    }

    /// Leaves out texts that have no glyphs even with a fallback: they are spaces.
    pub(super) fn without_spaces(self) -> Self {
        Self { undrawn_fonts: BTreeSet::new(), ..self }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.letters.is_empty() && self.undrawn_fonts.is_empty()
    }

    /// Returns the letters that a fallback should have, each once.
    pub(super) fn letters(&self) -> Vec<char> {
        if self.letters.is_empty() { ANY_LETTERS.chars().collect() } else { self.letters.keys().copied().collect() }
    }

    /// Returns the names of the fonts, each once.
    pub(super) fn fonts(&self) -> BTreeSet<&str> {
        self.letters.values().flatten().chain(&self.undrawn_fonts).map(String::as_str).collect()
    }
}
