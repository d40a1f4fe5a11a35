//! The position on the page of a part of a line.

use quire_tasks::Polygon;

use crate::unicode::is_cjk;

/// The margin on each side, in average characters of the line: the positions of characters are only estimated from
/// their typical widths.
const MARGIN_CHARS: f32 = 2.0;

/// Returns the polygon of the characters from `start` to `end` of a line, with a margin, inside the line's polygon.
/// Returns the whole polygon if the positions of characters cannot be estimated.
pub(crate) fn part_polygon(polygon: &Polygon, line: &[char], start: usize, end: usize) -> Polygon {
    let total = width_of(line);
    if total <= 0.0 || !is_horizontal(polygon, line.len()) {
        return *polygon;
    }
    let margin = MARGIN_CHARS / line.len() as f32;
    let from = (width_of(&line[..start]) / total - margin).max(0.0);
    let to = (width_of(&line[..end]) / total + margin).min(1.0);
    let [top_left, top_right, bottom_right, bottom_left] = *polygon;
    [
        interpolate(top_left, top_right, from),
        interpolate(top_left, top_right, to),
        interpolate(bottom_left, bottom_right, to),
        interpolate(bottom_left, bottom_right, from),
    ]
}

fn width_of(characters: &[char]) -> f32 {
    characters.iter().map(|character| width(*character)).sum()
}

/// Returns whether the text runs from the first corner to the second. Vertical text, whose box is higher than wide,
/// does not, and neither does text with a corner that is NaN or infinite.
fn is_horizontal(polygon: &Polygon, characters: usize) -> bool {
    let [top_left, top_right, bottom_right, _] = *polygon;
    let is_finite = polygon.iter().flatten().all(|value| value.is_finite());
    let is_vertical = characters > 2 && distance(top_left, top_right) < distance(top_right, bottom_right);
    is_finite && !is_vertical
}

fn distance(from: [f32; 2], to: [f32; 2]) -> f32 {
    (to[0] - from[0]).hypot(to[1] - from[1])
}

fn interpolate(from: [f32; 2], to: [f32; 2], share: f32) -> [f32; 2] {
    [from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share]
}

/// Returns the width of a character in ems, as in a typical sans-serif font.
fn width(character: char) -> f32 {
    match character {
        'i' | 'j' | 'l' | '|' | '\'' | '.' | ',' | ':' | ';' | '!' | 'I' | '/' | ' ' | '[' | ']' => 0.28,
        'f' | 't' | 'r' | '(' | ')' | '-' | '"' | '`' | '*' => 0.35,
        'm' | 'M' | 'W' | '%' => 0.86,
        'w' | 'C' | 'D' | 'G' | 'H' | 'N' | 'O' | 'Q' | 'R' | 'U' => 0.74,
        '@' => 1.0,
        upper if upper.is_ascii_uppercase() => 0.65,
        wide if is_cjk(wide) || ('\u{FF01}'..='\u{FF60}').contains(&wide) || wide == '\u{3000}' => 1.0,
        _ => 0.55,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Polygon = [[0.0, 0.0], [100.0, 10.0], [100.0, 30.0], [0.0, 20.0]];

    fn part_of(text: &str, start: usize, end: usize) -> Polygon {
        part_polygon(&LINE, &text.chars().collect::<Vec<_>>(), start, end)
    }

    #[test]
    fn a_part_covers_its_characters_and_a_margin() {
        let tenth = part_of("0000000000", 5, 6);
        let expected = [[30.0, 3.0], [80.0, 8.0], [80.0, 28.0], [30.0, 23.0]];
        for (corner, expected) in tenth.iter().flatten().zip(expected.iter().flatten()) {
            assert!((corner - expected).abs() < 0.01, "{tenth:?}");
        }
    }

    #[test]
    fn a_part_stays_within_its_line() {
        assert_eq!(part_of("0000000000", 0, 10), LINE);
        assert_eq!(part_of("ab", 1, 2), LINE);
    }

    #[test]
    fn wide_characters_before_a_part_move_it_to_the_right() {
        let left = |text| part_of(text, 8, 9)[0][0];
        assert!(left("电话电话电话电话0000000000000") > left("iiiiiiii0000000000000") + 20.0);
    }

    #[test]
    fn a_part_of_a_vertical_line_is_the_whole_line() {
        let vertical: Polygon = [[0.0, 0.0], [10.0, 0.0], [10.0, 90.0], [0.0, 90.0]];
        assert_eq!(part_polygon(&vertical, &['a', 'b', 'c'], 1, 2), vertical);
    }
}
