//! Fonts without shapes: they say which characters stand where, and draw nothing.
//!
//! A text layer needs no glyphs, and no font that has all the world's characters is small. So every 256 characters that occur
//! share a Type 3 font (ISO 32000-1, 9.6.5) whose glyphs are empty, and a map back to Unicode makes them text that can be
//! found and copied.

use std::collections::HashMap;

use pdf_writer::{
    Chunk, Content, Finish, Name, Rect, Ref, Str,
    types::{SystemInfo, UnicodeCmap},
};

use crate::words::is_wide;

/// Codes of one font.
const CODES: usize = 256;
/// Units of a font in an em.
const EM: f32 = 1000.0;

/// Which character has which font and code. Fonts and codes are given out as characters come.
#[derive(Debug, Default)]
pub(crate) struct Fonts {
    places: HashMap<char, usize>,
    characters: Vec<char>,
}

/// Characters that follow each other in one font.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) font: usize,
    pub(crate) codes: Vec<u8>,
}

impl Fonts {
    /// A text in runs of one font each.
    pub(crate) fn runs(&mut self, text: &str) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for character in text.chars() {
            let next = self.characters.len();
            let place = *self.places.entry(character).or_insert(next);
            if place == next {
                self.characters.push(character);
            }
            let (font, code) = (place / CODES, (place % CODES) as u8);
            match runs.last_mut() {
                Some(run) if run.font == font => run.codes.push(code),
                _ => runs.push(Run { font, codes: vec![code] }),
            }
        }
        runs
    }

    /// How many fonts there are.
    pub(crate) fn count(&self) -> usize {
        self.characters.len().div_ceil(CODES)
    }

    /// The name of a font among a page's resources.
    pub(crate) fn name(font: usize) -> Vec<u8> {
        format!("F{font}").into_bytes()
    }

    /// All fonts, an object a chunk; `font` says under which reference each goes.
    pub(crate) fn chunks(&self, font: impl Fn(usize) -> Ref, mut new: impl FnMut() -> Ref) -> Vec<Chunk> {
        let glyphs = [(EM / 2.0, new()), (EM, new())];
        let mut chunks: Vec<Chunk> = glyphs.iter().map(|(width, id)| glyph(*id, *width)).collect();
        for (number, characters) in self.characters.chunks(CODES).enumerate() {
            let map = new();
            chunks.push(font_of(font(number), map, glyphs.map(|(_, id)| id), characters));
            chunks.push(map_of(map, characters));
        }
        chunks
    }
}

fn glyph(id: Ref, width: f32) -> Chunk {
    let (mut chunk, mut glyph) = (Chunk::new(), Content::new());
    // With a box, or readers take all characters of a line for one place.
    glyph.start_shape_glyph(width, 0.0, 0.0, width, EM);
    chunk.stream(id, &glyph.finish());
    chunk
}

fn font_of(id: Ref, map: Ref, [half, whole]: [Ref; 2], characters: &[char]) -> Chunk {
    let mut chunk = Chunk::new();
    let mut font = chunk.type3_font(id);
    font.bbox(Rect::new(0.0, 0.0, EM, EM));
    font.matrix([1.0 / EM, 0.0, 0.0, 1.0 / EM, 0.0, 0.0]);
    font.first_char(0).last_char((characters.len() - 1) as u8);
    let wide = |character: &char| is_wide(*character);
    font.widths(characters.iter().map(|character| if wide(character) { EM } else { EM / 2.0 }));
    font.char_procs().pair(Name(b"h"), half).pair(Name(b"w"), whole);
    let names = characters.iter().map(|character| Name(if wide(character) { b"w" } else { b"h" }));
    font.encoding_custom().differences().consecutive(0, names);
    font.to_unicode(map);
    font.finish();
    chunk
}

fn map_of(id: Ref, characters: &[char]) -> Chunk {
    let info = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"UCS"), supplement: 0 };
    let mut map = UnicodeCmap::<u8>::new(Name(b"Quire"), info);
    for (code, &character) in characters.iter().enumerate() {
        map.pair(code as u8, character);
    }
    let mut chunk = Chunk::new();
    chunk.cmap(id, &map.finish());
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_keeps_its_code_and_the_257th_starts_a_font() {
        let mut fonts = Fonts::default();
        let first: String = ('\u{4E00}'..).take(CODES).collect();
        assert_eq!(fonts.runs(&first).len(), 1);
        let runs = fonts.runs("\u{4E01}a\u{4E01}");
        let of = |font, code| Run { font, codes: vec![code] };
        assert_eq!(runs, [of(0, 1), of(1, 0), of(0, 1)]);
        assert_eq!(fonts.count(), 2);
    }
}
