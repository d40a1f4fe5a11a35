//! Text that a page has already, and that is not to be added a second time.

use std::collections::HashMap;

use quire_tasks::{Line, Polygon};

/// The share of a line's characters that the page must have at the line's place. Trade-off: recognition errors leave
/// more than this, and text that is mapped to wrong characters less.
const MIN_SHARE: f32 = 0.5;
/// The part of its height by which a line is enlarged on all sides to look for characters.
const MARGIN: f32 = 0.25;

/// A character of a page's own text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OwnGlyph {
    /// The character.
    pub character: char,
    /// Its center in pixels of the page.
    pub center: [f32; 2],
}

/// Returns whether a page has the text of a line at the line's place.
pub(crate) fn is_on_page(line: &Line, own: &[OwnGlyph]) -> bool {
    let Some(polygon) = &line.polygon else { return false };
    let bounds = Bounds::of(polygon);
    let mut found: HashMap<char, u32> = HashMap::new();
    for glyph in own.iter().filter(|glyph| bounds.contains(glyph.center)) {
        for character in folded(glyph.character) {
            *found.entry(character).or_default() += 1;
        }
    }
    let (mut all, mut matching) = (0_u32, 0_u32);
    for character in line.text.chars().filter(|character| !character.is_whitespace()).flat_map(folded) {
        all += 1;
        if let Some(count) = found.get_mut(&character).filter(|count| **count > 0) {
            *count -= 1;
            matching += 1;
        }
    }
    all > 0 && matching as f32 >= all as f32 * MIN_SHARE
}

fn folded(character: char) -> impl Iterator<Item = char> {
    character.to_lowercase()
}

/// An enlarged polygon.
struct Bounds {
    start: [f32; 2],
    along: [f32; 2],
    down: [f32; 2],
}

impl Bounds {
    fn of([start, end, _, below]: &Polygon) -> Self {
        Self {
            start: *start,
            along: [end[0] - start[0], end[1] - start[1]],
            down: [below[0] - start[0], below[1] - start[1]],
        }
    }

    /// Returns whether a point is inside, by its coordinates along the sides.
    fn contains(&self, point: [f32; 2]) -> bool {
        let cross = |one: [f32; 2], other: [f32; 2]| one[0] * other[1] - one[1] * other[0];
        let area = cross(self.along, self.down);
        let offset = [point[0] - self.start[0], point[1] - self.start[1]];
        let (along, down) = (cross(offset, self.down) / area, cross(self.along, offset) / area);
        let ratio = (self.down[0].hypot(self.down[1]) / self.along[0].hypot(self.along[1])).min(1.0) * MARGIN;
        (-ratio..=1.0 + ratio).contains(&along) && (-MARGIN..=1.0 + MARGIN).contains(&down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain::tests::line;

    fn glyphs(text: &str, y: f32) -> Vec<OwnGlyph> {
        let glyph = |(index, character)| OwnGlyph { character, center: [10.0 * index as f32 + 5.0, y] };
        text.chars().enumerate().map(glyph).collect()
    }

    #[test]
    fn text_at_the_same_place_is_on_the_page() {
        let line = line("Total 12", 0.9, [[0.0, 100.0], [80.0, 100.0], [80.0, 120.0], [0.0, 120.0]]);
        assert!(is_on_page(&line, &glyphs("Total 12", 110.0)));
        assert!(is_on_page(&line, &glyphs("T0TAL 12", 118.0)), "with errors");
        assert!(!is_on_page(&line, &glyphs("Total 12", 150.0)), "elsewhere");
        assert!(!is_on_page(&line, &glyphs("\u{f0a1}\u{f0b2}#%&!?", 110.0)), "mapped to wrong characters");
        assert!(!is_on_page(&line, &[]));
        let upside_down = Line { polygon: line.polygon.map(|[a, b, c, d]| [c, d, a, b]), ..line };
        assert!(is_on_page(&upside_down, &glyphs("21 latoT", 110.0)));
    }
}
