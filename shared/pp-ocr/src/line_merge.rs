//! Merges the lines of a second detection pass with those of the first one, without losing any text.

use std::ops::Range;

use quire_document::PageImage;

use crate::{
    crop_rect::CropRect,
    geometry::{Point, Quad},
    print_ink::has_print,
};

/// Parts of a line that the second pass does not cover are lost text from this length on, in heights of the line: less
/// is the margin of a box.
const MAX_UNCOVERED: f32 = 0.6;
/// Maximum ratio of the heights of two boxes that show the same line.
const SAME_LINE: f32 = 1.8;

/// A line that was detected, in pixels of the page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FoundLine {
    pub(crate) quad: Quad,
    /// Whether the line is large enough to be final.
    pub(crate) is_final: bool,
}

/// Adds the lines that were found in an area to the known ones. A known line is replaced only where the found lines
/// cover its print:
///
/// - what was found of a line that is not covered whole, e.g. because the area ends in it, is dropped, and then covers
///   no other line either;
/// - of several lines that ran together in one box, the parts that were not found are kept.
pub(crate) fn merge_lines(page: &PageImage, lines: &mut Vec<FoundLine>, area: &CropRect, mut found: Vec<FoundLine>) {
    loop {
        let mut merged: Vec<FoundLine> = lines.iter().flat_map(|line| kept_parts(page, line, area, &found)).collect();
        let count = found.len();
        found.retain(|line| !merged.iter().any(|other| shows(other, &line.quad)));
        if found.len() == count {
            merged.extend(found);
            *lines = merged;
            return;
        }
    }
}

/// Returns what is kept of a known line.
fn kept_parts(page: &PageImage, line: &FoundLine, area: &CropRect, found: &[FoundLine]) -> Vec<FoundLine> {
    if line.is_final || !meets(area, &line.quad) {
        return vec![*line];
    }
    uncovered_parts(page, &line.quad, found).into_iter().map(|quad| FoundLine { quad, ..*line }).collect()
}

/// Returns whether a known line shows the text of a found one.
fn shows(known: &FoundLine, found: &Quad) -> bool {
    known.quad.contains(found.center()) && (known.is_final || is_same_height(found, &known.quad))
}

/// Returns whether `other` is about as high as a line, across that line's longer side.
fn is_same_height(line: &Quad, other: &Quad) -> bool {
    let across = if line.length() >= line.breadth() { line.rotated(1) } else { *line };
    let Range { start, end } = span(&across, other);
    end - start <= SAME_LINE
}

fn meets(area: &CropRect, line: &Quad) -> bool {
    let ([left, top], [right, bottom]) = extent(line);
    let (columns, rows) = (area.columns(), area.rows());
    left < columns.end as f32 && right > columns.start as f32 && top < rows.end as f32 && bottom > rows.start as f32
}

fn extent(quad: &Quad) -> (Point, Point) {
    let low = |axis: usize| quad.0.iter().map(|corner| corner[axis]).fold(f32::INFINITY, f32::min);
    let high = |axis: usize| quad.0.iter().map(|corner| corner[axis]).fold(f32::NEG_INFINITY, f32::max);
    ([low(0), low(1)], [high(0), high(1)])
}

/// Returns the parts of a known line whose print is in none of the boxes that were found: nothing, the whole line, or
/// parts of several lines that ran together.
fn uncovered_parts(page: &PageImage, line: &Quad, found: &[FoundLine]) -> Vec<Quad> {
    // Along the longer side: the direction of text is not known yet.
    let line = if line.length() >= line.breadth() { *line } else { line.rotated(1) };
    let near: Vec<Quad> = found.iter().map(|other| other.quad).filter(|other| overlaps(&line, other)).collect();
    let Some(lowest) = near.iter().map(|other| other.breadth().min(other.length())).reduce(f32::min) else {
        return vec![line];
    };
    let lost = |side: Quad| {
        let is_lost = move |part: &Quad| part.length() > MAX_UNCOVERED * lowest && has_print(page, part);
        uncovered(&near, &side).into_iter().map(move |gap| side.section(gap.start, gap.end)).filter(is_lost)
    };
    let parts: Vec<Quad> = lost(line).chain(lost(line.rotated(1))).collect();
    let is_one_line = near.iter().any(|other| is_same_height(other, &line));
    if is_one_line && !parts.is_empty() { vec![line] } else { parts }
}

/// Returns whether the center of the lower box is within the other one, across the text.
fn overlaps(line: &Quad, other: &Quad) -> bool {
    let along = span(line, other);
    let across = span(&line.rotated(1), other);
    let middle = f32::midpoint(across.start, across.end);
    let is_inside = (0.0..=1.0).contains(&middle) || across.start <= 0.5 && across.end >= 0.5;
    along.start < 1.0 && along.end > 0.0 && is_inside
}

/// Returns the extent of a box along a line, as shares of the line's length.
fn span(line: &Quad, other: &Quad) -> Range<f32> {
    let [start, end, ..] = line.0;
    let axis = [end[0] - start[0], end[1] - start[1]];
    let square = (axis[0] * axis[0] + axis[1] * axis[1]).max(f32::MIN_POSITIVE);
    let place = |corner: &Point| ((corner[0] - start[0]) * axis[0] + (corner[1] - start[1]) * axis[1]) / square;
    let places = other.0.iter().map(place);
    places.fold(f32::INFINITY..f32::NEG_INFINITY, |span, at| span.start.min(at)..span.end.max(at))
}

/// Returns the parts of a line, as shares of its length, that no box covers.
fn uncovered(boxes: &[Quad], line: &Quad) -> Vec<Range<f32>> {
    let mut spans: Vec<Range<f32>> = boxes.iter().map(|other| span(line, other)).collect();
    spans.sort_by(|a, b| a.start.total_cmp(&b.start));
    let mut gaps = Vec::new();
    let mut reach = 0.0_f32;
    for span in spans {
        if span.start.min(1.0) > reach {
            gaps.push(reach..span.start.min(1.0));
        }
        reach = reach.max(span.end);
    }
    if reach < 1.0 {
        gaps.push(reach..1.0);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WIDTH: u32 = 400;
    const HEIGHT: u32 = 300;
    const AREA: CropRect = CropRect { left: 0, top: 0, width: 200, height: HEIGHT };

    /// Draws strokes into the inner half of each box.
    fn page(boxes: &[[f32; 4]]) -> PageImage {
        let mut pixels = vec![255_u8; (WIDTH * HEIGHT) as usize * PageImage::CHANNELS];
        for [left, top, right, bottom] in boxes.iter().map(|at| at.map(|value| value as usize)) {
            let margin = (bottom - top) / 4;
            for row in top + margin..bottom - margin {
                for column in (left + 2..right - 2).filter(|column| column % 4 < 2) {
                    let first = (row * WIDTH as usize + column) * PageImage::CHANNELS;
                    pixels[first..first + PageImage::CHANNELS].fill(0);
                }
            }
        }
        PageImage::new(WIDTH, HEIGHT, pixels)
    }

    fn line([left, top, right, bottom]: [f32; 4]) -> FoundLine {
        FoundLine { quad: Quad([[left, top], [right, top], [right, bottom], [left, bottom]]), is_final: false }
    }

    fn merged(known: &[[f32; 4]], found: &[[f32; 4]]) -> Vec<FoundLine> {
        let page = page(&[known, found].concat());
        let mut lines: Vec<FoundLine> = known.iter().copied().map(line).collect();
        merge_lines(&page, &mut lines, &AREA, found.iter().copied().map(line).collect());
        lines
    }

    #[test]
    fn a_line_that_was_found_again_is_replaced() {
        let again = [11.0, 11.0, 151.0, 32.0];
        assert_eq!(merged(&[[10.0, 10.0, 150.0, 30.0]], &[again]), [line(again)]);
        let halves = [[11.0, 10.0, 80.0, 30.0], [80.0, 10.0, 151.0, 30.0]];
        assert_eq!(merged(&[[10.0, 10.0, 150.0, 30.0]], &halves), halves.map(line));
    }

    #[test]
    fn a_line_across_the_border_is_kept_whole() {
        let whole = [10.0, 10.0, 390.0, 30.0];
        assert_eq!(merged(&[whole], &[[10.0, 10.0, 200.0, 30.0]]), [line(whole)]);
    }

    #[test]
    fn a_found_line_that_is_dropped_replaces_no_other_line() {
        let known = [[100.0, 10.0, 140.0, 30.0], [140.0, 10.0, 390.0, 30.0]];
        let lines = merged(&known, &[[100.0, 10.0, 200.0, 30.0]]);
        assert_eq!(lines, known.map(line));
    }

    #[test]
    fn lines_that_ran_together_are_replaced_except_for_those_that_were_not_found() {
        let rows = [10.0, 40.0, 70.0].map(|top| [10.0, top, 190.0, top + 20.0]);
        let block = [10.0, 10.0, 190.0, 90.0];
        let page = page(&rows);
        let mut all = vec![line(block)];
        merge_lines(&page, &mut all, &AREA, rows.map(line).to_vec());
        assert_eq!(all, rows.map(line));
        let mut some = vec![line(block)];
        merge_lines(&page, &mut some, &AREA, vec![line(rows[0]), line(rows[1])]);
        assert!(some.contains(&line(rows[0])) && some.contains(&line(rows[1])));
        assert!(some.iter().any(|rest| rest.quad.contains([100.0, 80.0])), "{some:?}");
    }

    #[test]
    fn the_parts_of_a_large_letter_do_not_replace_it() {
        let heading = FoundLine { is_final: true, ..line([10.0, 10.0, 190.0, 90.0]) };
        let mut lines = vec![heading];
        merge_lines(&page(&[]), &mut lines, &AREA, vec![line([20.0, 20.0, 60.0, 80.0])]);
        assert_eq!(lines, [heading]);
    }

    proptest! {
        #[test]
        fn the_lines_after_a_second_pass_cover_the_print_of_the_first(
            known in prop::collection::vec((0_u8..5, 0_u8..6, 1_u8..4), 1..8),
            found in prop::collection::vec((0_u8..10, 0_u8..12, 1_u8..6, 1_u8..3), 0..16),
        ) {
            // Lines of one or two rows, in a grid of rows of 25 pixels.
            let known: Vec<[f32; 4]> = known
                .into_iter()
                .map(|(row, left, width)| [left, row, width].map(f32::from))
                .map(|[left, row, width]| [left * 50.0, row * 50.0 + 2.0, (left + width) * 50.0, row * 50.0 + 48.0])
                .map(|[left, top, right, bottom]| [left, top, right.min(398.0), bottom])
                .collect();
            let found: Vec<[f32; 4]> = found
                .into_iter()
                .map(|(row, left, width, rows)| [row, left, width, rows].map(f32::from))
                .map(|[row, left, width, rows]| [left * 30.0, row * 25.0, (left + width) * 30.0, (row + rows) * 25.0])
                .map(|[left, top, right, bottom]| [left, top + 2.0, right, bottom - 2.0])
                .map(|[left, top, right, bottom]| [left, top, right.min(398.0), bottom])
                .collect();
            let page = page(&known);
            let mut lines: Vec<FoundLine> = known.iter().copied().map(line).collect();
            merge_lines(&page, &mut lines, &AREA, found.into_iter().map(line).collect());
            let is_covered = |at: Point| lines.iter().any(|line| line.quad.contains(at));
            for [left, top, right, bottom] in known {
                // A box is expanded: its outer quarters have no print.
                let height = bottom - top;
                for step in 0..=20 {
                    let x = left + height / 2.0 + (right - left - height) * step as f32 / 20.0;
                    prop_assert!(
                        [0.3, 0.4, 0.5, 0.6, 0.7].iter().any(|share| is_covered([x, top + share * height])),
                        "{x} of {left}–{right}, {top}: {lines:?}"
                    );
                }
            }
        }
    }
}
