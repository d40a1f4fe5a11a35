//! Where on the page a part of a line stands.

use quire_tasks::Polygon;

use crate::searched::is_cjk;

/// How much more than the estimate is covered on each side, in average characters of the line: where each character stands
/// is only guessed by its usual width.
const MARGIN_CHARS: f32 = 2.0;

/// The part of a line's four corners that its characters from `start` up to `end` cover, with a margin, within the line.
pub(crate) fn part(polygon: &Polygon, line: &[char], start: usize, end: usize) -> Polygon {
    let widths: Vec<f32> = line.iter().map(|character| width(*character)).collect();
    let all: f32 = widths.iter().sum();
    if all <= 0.0 || runs_across(polygon, line.len()) {
        return *polygon;
    }
    let margin = MARGIN_CHARS / line.len() as f32;
    let until = |index: usize| widths[..index].iter().sum::<f32>() / all;
    let (from, to) = ((until(start) - margin).max(0.0), (until(end) + margin).min(1.0));
    let [top_left, top_right, bottom_right, bottom_left] = *polygon;
    [
        between(top_left, top_right, from),
        between(top_left, top_right, to),
        between(bottom_left, bottom_right, to),
        between(bottom_left, bottom_right, from),
    ]
}

/// Whether the corners are not those of a line that runs from the first to the second: text from top to bottom in an upright
/// box. Then all of it is covered.
fn runs_across(polygon: &Polygon, characters: usize) -> bool {
    let [a, b, c, _] = *polygon;
    let length = |from: [f32; 2], to: [f32; 2]| (to[0] - from[0]).hypot(to[1] - from[1]);
    let sound = polygon.iter().flatten().all(|value| value.is_finite());
    !sound || (characters > 2 && length(a, b) < length(b, c))
}

fn between(from: [f32; 2], to: [f32; 2], share: f32) -> [f32; 2] {
    [from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share]
}

/// How wide a character is, in ems, by a usual sans-serif face.
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

    const BOX: Polygon = [[0.0, 0.0], [100.0, 10.0], [100.0, 30.0], [0.0, 20.0]];

    fn part_of(text: &str, start: usize, end: usize) -> Polygon {
        part(&BOX, &text.chars().collect::<Vec<_>>(), start, end)
    }

    #[test]
    fn a_part_lies_where_its_characters_are_with_a_margin() {
        let tenth = part_of("0000000000", 5, 6);
        let expected = [[30.0, 3.0], [80.0, 8.0], [80.0, 28.0], [30.0, 23.0]];
        for (corner, expected) in tenth.iter().flatten().zip(expected.iter().flatten()) {
            assert!((corner - expected).abs() < 0.01, "{tenth:?}");
        }
    }

    #[test]
    fn a_part_stays_within_its_line() {
        assert_eq!(part_of("0000000000", 0, 10), BOX);
        assert_eq!(part_of("ab", 1, 2), BOX);
    }

    #[test]
    fn wide_characters_before_it_push_it_on() {
        let x = |text| part_of(text, 8, 9)[0][0];
        assert!(x("电话电话电话电话0000000000000") > x("iiiiiiii0000000000000") + 20.0);
    }

    #[test]
    fn of_a_line_that_runs_from_top_to_bottom_all_is_covered() {
        let upright: Polygon = [[0.0, 0.0], [10.0, 0.0], [10.0, 90.0], [0.0, 90.0]];
        assert_eq!(part(&upright, &['a', 'b', 'c'], 1, 2), upright);
    }
}
