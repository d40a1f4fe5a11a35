//! The invisible text of a page: each word at its place.

use std::collections::BTreeSet;

use pdf_writer::{Content, Name, Str, types::TextRenderingMode};
use quire_tasks::{Line, PageText, Polygon};

use crate::{
    fonts::Fonts,
    own_text::{OwnGlyph, is_on_page},
    words::{line_sections, width, word_polygons},
};

/// Height and distance, in points, of lines whose position is unknown. They are placed below each other at the left
/// edge, so that they can be searched and copied in order.
const UNPLACED_POINTS: f32 = 1.0;
/// The number of decimals of coordinates in points.
const DECIMALS: f32 = 10_000.0;

/// Where text is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placement<'a> {
    /// Maps pixels to points: see [`ImportedPage::matrix`](crate::ImportedPage::matrix).
    pub(crate) matrix: [f32; 6],
    /// The beginning of the fonts' names.
    pub(crate) font_prefix: &'a str,
    /// The text that the page has already.
    pub(crate) own: &'a [OwnGlyph],
}

/// The content stream with the text of a page, and the fonts that it uses.
#[derive(Debug, Default)]
pub(crate) struct TextLayer {
    pub(crate) content: Vec<u8>,
    pub(crate) fonts: BTreeSet<usize>,
}

impl TextLayer {
    /// Draws the lines of a page that it does not have already; `None` if there are none.
    pub(crate) fn of_page(text: &PageText, placement: Placement<'_>, fonts: &mut Fonts) -> Option<Self> {
        let mut content = Content::new();
        let mut used = BTreeSet::new();
        content.begin_text().set_text_rendering_mode(TextRenderingMode::Invisible);
        let unit = UNPLACED_POINTS / points_per_pixel(placement.matrix).max(f32::MIN_POSITIVE);
        for (index, line) in text.lines.iter().enumerate() {
            if is_on_page(line, placement.own) {
                continue;
            }
            let words = match &line.polygon {
                Some(_) => line_sections(line).unwrap_or_else(|| word_polygons(line)),
                None => vec![(line.text.as_str(), unplaced(index, line, unit, text.height as f32))],
            };
            for (number, (word, polygon)) in words.iter().enumerate() {
                let Some(matrix) = text_matrix(polygon, word, placement.matrix) else { continue };
                content.set_text_matrix(matrix);
                let is_last = number + 1 == words.len();
                let shown = if is_last { (*word).to_owned() } else { format!("{word} ") };
                for run in fonts.encode(&shown) {
                    content.set_font(Name(&Fonts::name(placement.font_prefix, run.font)), 1.0);
                    content.show(Str(&run.codes));
                    used.insert(run.font);
                }
            }
        }
        content.end_text();
        let content = content.finish().to_vec();
        (!used.is_empty()).then_some(Self { content, fonts: used })
    }
}

/// Returns by how much a matrix enlarges lengths.
fn points_per_pixel([a, b, c, d, ..]: [f32; 6]) -> f32 {
    (a * d - b * c).abs().sqrt()
}

/// Returns the place of a line whose position is unknown. `unit` is its height in pixels.
fn unplaced(index: usize, line: &Line, unit: f32, page_height: f32) -> Polygon {
    let bottom = ((index + 1) as f32 * unit).min(page_height.max(unit));
    let right = width(&line.text) * unit;
    [[0.0, bottom - unit], [right, bottom - unit], [right, bottom], [0.0, bottom]]
}

/// Returns the text matrix that scales a word in fonts of size 1 to its polygon, or `None` if the polygon has no area.
/// `to_points` maps pixels to points.
fn text_matrix(polygon: &Polygon, word: &str, to_points: [f32; 6]) -> Option<[f32; 6]> {
    let [m11, m12, m21, m22, dx, dy] = to_points;
    let [top, _, end, start] = polygon.map(|[x, y]| [m11 * x + m21 * y + dx, m12 * x + m22 * y + dy]);
    let length = width(word);
    let along = [(end[0] - start[0]) / length, (end[1] - start[1]) / length];
    let up = [top[0] - start[0], top[1] - start[1]];
    let area = along[0] * up[1] - along[1] * up[0];
    let rounded = |value: f32| (value * DECIMALS).round() / DECIMALS;
    let matrix = [along[0], along[1], up[0], up[1], start[0], start[1]].map(rounded);
    (area.is_finite() && area.abs() > 1e-6).then_some(matrix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_matrix_starts_at_the_lower_left_corner_of_the_word() {
        let upright = [[10.0, 20.0], [210.0, 20.0], [210.0, 60.0], [10.0, 60.0]];
        let matrix = text_matrix(&upright, "ab发", [1.0, 0.0, 0.0, -1.0, 0.0, 100.0]).expect("the word has an area");
        // Width 2 scaled to 200 pixels, height 40, from (10, 40) upwards.
        let expected = [100.0, 0.0, 0.0, 40.0, 10.0, 40.0_f32];
        assert!(matrix.iter().zip(expected).all(|(found, wanted)| (found - wanted).abs() < 1e-3), "{matrix:?}");
        let same = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0];
        assert_eq!(text_matrix(&[[10.0, 20.0]; 4], "ab", same), None);
        assert_eq!(text_matrix(&upright, "", same), None);
    }
}
