//! The coordinates of a page, and the text that it has.

use pdfium_render::prelude::{PdfPage, PdfPageRenderRotation, PdfPageTextChar, PdfiumError};
use serde::{Deserialize, Serialize};

use super::size::PixelSize;

/// The most characters of a page that are returned: three times those of a newspaper's page.
const MAX_GLYPHS: usize = 50_000;

/// How the pixels of a page map to its own coordinates, and the text that the page has.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PageSpace {
    /// The width of the rendered page in pixels.
    pub width: u32,
    /// The height of the rendered page in pixels.
    pub height: u32,
    /// The matrix `[a, b, c, d, e, f]` that maps a pixel's position `(x, y)` to `(a·x + c·y + e, b·x + d·y + f)` in the
    /// user space of the page.
    pub matrix: [f32; 6],
    /// The characters of its text, without spaces.
    pub glyphs: Vec<PageGlyph>,
}

/// A character of a page's own text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PageGlyph {
    /// The character.
    #[serde(rename = "c")]
    pub character: char,
    /// Its center in pixels of the rendered page.
    #[serde(rename = "p")]
    pub center: [f32; 2],
}

impl PageSpace {
    /// Returns the space of a page that is rendered in this size.
    pub(super) fn of_page(page: &PdfPage<'_>, size: PixelSize) -> Result<Self, PdfiumError> {
        let bounds = page.boundaries().bounding()?.bounds;
        let (left, bottom) = (bounds.left().value, bounds.bottom().value);
        let box_size = [bounds.right().value - left, bounds.top().value - bottom];
        let matrix = matrix(quarter_turns(page.rotation()?), [left, bottom], box_size, [size.width, size.height]);
        let text = page.text()?;
        let inverse = inverse(matrix);
        let characters = text.chars();
        let glyphs = characters.iter().filter_map(|character| glyph(&character, inverse));
        let glyphs = glyphs.take(MAX_GLYPHS).collect();
        Ok(Self { width: size.width, height: size.height, matrix, glyphs })
    }
}

const fn quarter_turns(rotation: PdfPageRenderRotation) -> u8 {
    match rotation {
        PdfPageRenderRotation::None => 0,
        PdfPageRenderRotation::Degrees90 => 1,
        PdfPageRenderRotation::Degrees180 => 2,
        PdfPageRenderRotation::Degrees270 => 3,
    }
}

/// Returns the matrix of a page whose box has this lower left corner and size, and which is shown with these clockwise
/// quarter turns in this size in pixels.
fn matrix(turns: u8, [left, bottom]: [f32; 2], [width, height]: [f32; 2], pixels: [u32; 2]) -> [f32; 6] {
    let [across, down] = pixels.map(|side| side.max(1) as f32);
    match turns {
        0 => [width / across, 0.0, 0.0, -height / down, left, bottom + height],
        1 => [0.0, height / across, width / down, 0.0, left, bottom],
        2 => [-width / across, 0.0, 0.0, height / down, left + width, bottom],
        _ => [0.0, -height / across, -width / down, 0.0, left + width, bottom + height],
    }
}

/// Returns the inverse of a matrix; zeros if it has none.
#[expect(clippy::many_single_char_names, reason = "the names that PDF gives to the numbers of a matrix")]
fn inverse([a, b, c, d, e, f]: [f32; 6]) -> [f32; 6] {
    let area = a * d - b * c;
    if area == 0.0 {
        return [0.0; 6];
    }
    [d / area, -b / area, -c / area, a / area, (c * f - d * e) / area, (b * e - a * f) / area]
}

fn apply(matrix: [f32; 6], [x, y]: [f32; 2]) -> [f32; 2] {
    [matrix[0] * x + matrix[2] * y + matrix[4], matrix[1] * x + matrix[3] * y + matrix[5]]
}

fn glyph(character: &PdfPageTextChar<'_>, to_pixels: [f32; 6]) -> Option<PageGlyph> {
    let symbol = character.unicode_char().filter(|symbol| !symbol.is_whitespace() && !symbol.is_control())?;
    let bounds = character.loose_bounds().ok()?;
    let x = f32::midpoint(bounds.left().value, bounds.right().value);
    let y = f32::midpoint(bounds.bottom().value, bounds.top().value);
    let center = apply(to_pixels, [x, y]);
    center.iter().all(|value| value.is_finite()).then_some(PageGlyph { character: symbol, center })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corners_of_the_pixels_are_the_corners_of_the_box() {
        // The box from (10, 20) to (110, 220), which is rendered with 2 pixels per point.
        for (turns, pixels, top_left, top_right) in [
            (0, [200, 400], [10.0, 220.0], [110.0, 220.0]),
            (1, [400, 200], [10.0, 20.0], [10.0, 220.0]),
            (2, [200, 400], [110.0, 20.0], [10.0, 20.0]),
            (3, [400, 200], [110.0, 220.0], [110.0, 20.0]),
        ] {
            let matrix = matrix(turns, [10.0, 20.0], [100.0, 200.0], pixels);
            let found = [apply(matrix, [0.0, 0.0]), apply(matrix, [pixels[0] as f32, 0.0])];
            let back = apply(inverse(matrix), top_right);
            for (found, wanted) in found.iter().flatten().zip([top_left, top_right].iter().flatten()) {
                assert!((found - wanted).abs() < 1e-3, "{turns}: {found} for {wanted}");
            }
            assert!((back[0] - pixels[0] as f32).abs() < 1e-2 && back[1].abs() < 1e-2, "{turns}: {back:?}");
        }
    }
}
