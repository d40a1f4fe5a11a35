//! Reads the text of a page with the positions of its characters.

use std::collections::BTreeMap;

use icu_properties::{
    CodePointMapData,
    props::{BidiClass, GeneralCategory},
};
use pdfium_render::prelude::{PdfMatrix, PdfPage, PdfPageTextChar, PdfPoints, PdfRect, PdfRenderConfig, PdfiumError};

use super::{
    content::PageContent,
    layer_lines::{Item, LayerChar, LineBuilder, union},
    size::PixelSize,
};
use crate::TextLayer;

/// The most characters of a page whose text is used.
const MAX_CHARACTERS: usize = 50_000;
/// Largest angle to the rows or columns of the image at which text is horizontal or vertical, as a sine: 2 degrees.
const MAX_SKEW: f32 = 0.035;
/// A length in points that is mapped to determine the transformation: pdfium returns whole pixels.
const LONG: f32 = 1e5;

/// Returns the text of an open page that is drawn in this size; `None` if it has none, or too much.
pub(super) fn text_layer(
    page: &PdfPage<'_>,
    content: &PageContent,
    size: PixelSize,
) -> Result<Option<TextLayer>, PdfiumError> {
    let text = page.text()?;
    let characters = text.chars();
    if characters.is_empty() || characters.len() > MAX_CHARACTERS {
        return Ok(None);
    }
    let to_pixels = ToPixels::of_page(page, size)?;
    let mut reader = CharReader::new(to_pixels);
    let items: Vec<Item> = characters.iter().filter_map(|character| reader.read(&character)).collect();
    let mut lines = LineBuilder::default();
    for item in items.chunk_by(Item::is_same_glyph) {
        lines.push(Item::joined(item));
    }
    let has_other_content = content.has_drawings() || reader.has_skipped || !page.annotations().is_empty();
    let lines = lines.finish();
    let is_incomplete = reader.is_incomplete;
    Ok((!lines.is_empty() || is_incomplete).then_some(TextLayer { lines, has_other_content, is_incomplete }))
}

/// The transformation from points of the page to pixels of its image.
#[derive(Debug, Clone, Copy)]
struct ToPixels {
    origin: [f32; 2],
    x: [f32; 2],
    y: [f32; 2],
}

impl ToPixels {
    fn of_page(page: &PdfPage<'_>, size: PixelSize) -> Result<Self, PdfiumError> {
        let config = PdfRenderConfig::new().set_fixed_size(size.width as i32, size.height as i32);
        let place = |x: f32, y: f32| {
            let (x, y) = page.points_to_pixels(PdfPoints::new(x), PdfPoints::new(y), &config)?;
            Ok::<_, PdfiumError>([x as f32, y as f32])
        };
        let [low, x, y] = [place(-LONG, -LONG)?, place(LONG, -LONG)?, place(-LONG, LONG)?];
        let slope = |to: [f32; 2]| [0, 1].map(|axis| (to[axis] - low[axis]) / (2.0 * LONG));
        let (x, y) = (slope(x), slope(y));
        let origin = [0, 1].map(|axis| low[axis] + LONG * (x[axis] + y[axis]));
        Ok(Self { origin, x, y })
    }

    fn point(&self, x: f32, y: f32) -> [f32; 2] {
        [0, 1].map(|axis| self.origin[axis] + x * self.x[axis] + y * self.y[axis])
    }

    /// Returns the bounds in pixels: left, top, right, bottom.
    fn bounds(&self, rect: &PdfRect) -> [f32; 4] {
        let a = self.point(rect.left().value, rect.bottom().value);
        let b = self.point(rect.right().value, rect.top().value);
        [a[0].min(b[0]), a[1].min(b[1]), a[0].max(b[0]), a[1].max(b[1])]
    }

    /// Returns whether text with this matrix is upright in the image.
    fn is_upright(&self, matrix: &PdfMatrix) -> bool {
        let direction = |a: f32, b: f32| [0, 1].map(|axis| a * self.x[axis] + b * self.y[axis]);
        let along = direction(matrix.a(), matrix.b());
        let up = direction(matrix.c(), matrix.d());
        let is_along = along[0] > 0.0 && along[1].abs() <= MAX_SKEW * along[0];
        is_along && up[1] < 0.0
    }
}

/// Converts pdfium's characters one by one.
struct CharReader {
    to_pixels: ToPixels,
    fonts: BTreeMap<String, u32>,
    has_skipped: bool,
    is_incomplete: bool,
}

impl CharReader {
    const fn new(to_pixels: ToPixels) -> Self {
        Self { to_pixels, fonts: BTreeMap::new(), has_skipped: false, is_incomplete: false }
    }

    /// Returns what a character is; `None` for one that is not part of the visible text.
    fn read(&mut self, character: &PdfPageTextChar<'_>) -> Option<Item> {
        let Some(value) = char::from_u32(character.unicode_value()) else {
            self.is_incomplete = true;
            return None;
        };
        match value {
            '\r' | '\n' => return Some(Item::LineEnd),
            _ if value.is_whitespace() => return Some(Item::Space),
            _ => {}
        }
        let object = character.text_object().ok()?;
        if !object.is_visible() {
            self.has_skipped = true;
            return None;
        }
        let Some(text) = readable(value) else {
            self.is_incomplete = true;
            return None;
        };
        let matrix = character.matrix().ok()?;
        if !self.to_pixels.is_upright(&matrix) {
            self.has_skipped = true;
            return Some(Item::LineEnd);
        }
        let glyph = self.to_pixels.bounds(&character.tight_bounds().ok()?);
        let size = character.unscaled_font_size().value * matrix.a().hypot(matrix.b());
        let height = (size * self.to_pixels.x[0].hypot(self.to_pixels.x[1])).abs();
        let loose = character.loose_bounds().map_or(glyph, |rect| self.to_pixels.bounds(&rect));
        let font = self.font_number(&character.font_name());
        let relative_width = (glyph[2] - glyph[0]) / height.max(1.0);
        Some(Item::Char(LayerChar { text, glyph, cell: cell(glyph, loose, height), relative_width, font }))
    }

    fn font_number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.fonts.get(name) {
            return *number;
        }
        let number = self.fonts.len() as u32;
        self.fonts.insert(name.to_owned(), number);
        number
    }
}

/// Returns the space of a character: that of its font with its glyph, or only its glyph if that is implausible.
fn cell(glyph: [f32; 4], loose: [f32; 4], size: f32) -> [f32; 4] {
    let height = loose[3] - loose[1];
    let is_near = loose[1] <= glyph[3] && loose[3] >= glyph[1] && loose[0] <= glyph[2] && loose[2] >= glyph[0];
    let is_plausible = height > 0.0 && height <= 2.0 * size && is_near;
    if is_plausible { union(loose, glyph) } else { glyph }
}

/// Returns the text of a character: the letters of a ligature, and the usual form of a bullet. `None` if it has no
/// meaning by itself, or belongs to a script whose order is not that of the document.
fn readable(character: char) -> Option<String> {
    let text = match character {
        // pdfium's mark of a hyphen at the end of a line, and soft hyphens, which are drawn only there.
        '\u{2}' | '\u{ad}' => "-",
        // Latin ligatures (Unicode, Alphabetic Presentation Forms).
        '\u{fb00}' => "ff",
        '\u{fb01}' => "fi",
        '\u{fb02}' => "fl",
        '\u{fb03}' => "ffi",
        '\u{fb04}' => "ffl",
        '\u{fb05}' | '\u{fb06}' => "st",
        // The bullet of the fonts Symbol and Wingdings, which have no Unicode characters.
        '\u{f0b7}' | '\u{f0a7}' => "•",
        _ if character.is_control() || is_without_meaning(character) || is_right_to_left(character) => return None,
        _ => return Some(character.to_string()),
    };
    Some(text.to_owned())
}

/// Returns whether a character has no meaning of its own: private use, unassigned, and the replacement character.
fn is_without_meaning(character: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    matches!(category, GeneralCategory::PrivateUse | GeneralCategory::Unassigned)
        || character == char::REPLACEMENT_CHARACTER
}

/// Returns whether a character is written from right to left.
fn is_right_to_left(character: char) -> bool {
    let class = CodePointMapData::<BidiClass>::new().get(character);
    matches!(class, BidiClass::RightToLeft | BidiClass::ArabicLetter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ligatures_are_letters_and_marks_of_pdfium_are_hyphens() {
        for (character, text) in [('\u{fb03}', "ffi"), ('\u{2}', "-"), ('\u{f0b7}', "•"), ('é', "é"), ('文', "文")]
        {
            assert_eq!(readable(character).as_deref(), Some(text));
        }
    }

    #[test]
    fn characters_without_meaning_are_not_text() {
        for character in ['\u{1}', '\u{fffd}', '\u{e123}', '\u{fffe}', '\u{10fffd}', 'א', 'ع'] {
            assert_eq!(readable(character), None, "{character:?}");
        }
    }
}
