//! Fonts with empty glyphs for the invisible text layer of a PDF.
//!
//! The text layer is never painted, and a font with all characters of Unicode would be large. Therefore, every 256
//! distinct characters share a Type 3 font (ISO 32000-1, 9.6.5) with empty glyphs. Its `ToUnicode` map makes the text
//! searchable.

use std::collections::HashMap;

use pdf_writer::{
    Chunk, Content, Filter, Finish, Name, Rect, Ref, Str,
    types::{SystemInfo, UnicodeCmap},
};

use crate::{pdf_file::deflate, words::is_wide};

/// Character codes of one font: one byte.
const CODES: usize = 256;
/// Font units in an em.
const EM: f32 = 1000.0;

/// Assigns fonts and codes to characters in the order of their first use.
#[derive(Debug, Default)]
pub(crate) struct Fonts {
    indices: HashMap<char, usize>,
    characters: Vec<char>,
}

/// Adjacent characters of one font.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FontRun {
    pub(crate) font: usize,
    pub(crate) codes: Vec<u8>,
}

impl Fonts {
    /// Splits a text into runs of one font each, and assigns codes to new characters.
    pub(crate) fn encode(&mut self, text: &str) -> Vec<FontRun> {
        let mut runs: Vec<FontRun> = Vec::new();
        for character in text.chars() {
            let next = self.characters.len();
            let index = *self.indices.entry(character).or_insert(next);
            if index == next {
                self.characters.push(character);
            }
            let font = index / CODES;
            let code = (index % CODES) as u8;
            match runs.last_mut() {
                Some(run) if run.font == font => run.codes.push(code),
                _ => runs.push(FontRun { font, codes: vec![code] }),
            }
        }
        runs
    }

    /// Returns the number of fonts.
    pub(crate) fn count(&self) -> usize {
        self.characters.len().div_ceil(CODES)
    }

    /// Returns the name of a font in the resources of a page, where names of fonts begin with `prefix`.
    pub(crate) fn name(prefix: &str, font: usize) -> Vec<u8> {
        format!("{prefix}{font}").into_bytes()
    }

    /// Returns the objects of all fonts, one per chunk. `font_ref` returns the reference of a font, `new_ref` an unused
    /// one.
    pub(crate) fn chunks(&self, font_ref: impl Fn(usize) -> Ref, mut new_ref: impl FnMut() -> Ref) -> Vec<Chunk> {
        let half_width = new_ref();
        let full_width = new_ref();
        let mut chunks = vec![empty_glyph(half_width, EM / 2.0), empty_glyph(full_width, EM)];
        for (number, characters) in self.characters.chunks(CODES).enumerate() {
            let to_unicode = new_ref();
            chunks.push(type3_font(font_ref(number), to_unicode, [half_width, full_width], characters));
            chunks.push(unicode_map(to_unicode, characters));
        }
        chunks
    }
}

fn empty_glyph(id: Ref, width: f32) -> Chunk {
    let mut chunk = Chunk::new();
    let mut glyph = Content::new();
    // Without a bounding box, some viewers place all characters of a line at one position.
    glyph.start_shape_glyph(width, 0.0, 0.0, width, EM);
    chunk.stream(id, &glyph.finish());
    chunk
}

fn type3_font(id: Ref, to_unicode: Ref, [half_width, full_width]: [Ref; 2], characters: &[char]) -> Chunk {
    let mut chunk = Chunk::new();
    let mut font = chunk.type3_font(id);
    font.bbox(Rect::new(0.0, 0.0, EM, EM));
    font.matrix([1.0 / EM, 0.0, 0.0, 1.0 / EM, 0.0, 0.0]);
    font.first_char(0).last_char((characters.len() - 1) as u8);
    let wide = |character: &char| is_wide(*character);
    font.widths(characters.iter().map(|character| if wide(character) { EM } else { EM / 2.0 }));
    font.char_procs().pair(Name(b"h"), half_width).pair(Name(b"w"), full_width);
    let names = characters.iter().map(|character| Name(if wide(character) { b"w" } else { b"h" }));
    font.encoding_custom().differences().consecutive(0, names);
    font.to_unicode(to_unicode);
    font.finish();
    chunk
}

fn unicode_map(id: Ref, characters: &[char]) -> Chunk {
    let info = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"UCS"), supplement: 0 };
    let mut map = UnicodeCmap::<u8>::new(Name(b"Quire"), info);
    for (code, &character) in characters.iter().enumerate() {
        map.pair(code as u8, character);
    }
    let compressed = deflate(&map.finish());
    let mut chunk = Chunk::new();
    chunk.cmap(id, &compressed).filter(Filter::FlateDecode);
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_keeps_its_code_and_the_257th_character_starts_a_font() {
        let mut fonts = Fonts::default();
        let first: String = ('\u{4E00}'..).take(CODES).collect();
        assert_eq!(fonts.encode(&first).len(), 1);
        let runs = fonts.encode("\u{4E01}a\u{4E01}");
        let run = |font, code| FontRun { font, codes: vec![code] };
        assert_eq!(runs, [run(0, 1), run(1, 0), run(0, 1)]);
        assert_eq!(fonts.count(), 2);
    }
}
