//! The boxes of words. The recognizer tells where characters are within a step, i.e. a third of their height; between
//! the last character of a word and the first one of the next, the widest gap in the ink separates them.

use std::ops::Range;

use quire_document::PageImage;

use crate::{geometry::Quad, line_ink::LineInk, word_reading::WordReading};

/// How far the first and the last character of a line may reach beyond their centers, in heights of the line: one em is
/// about 0.65, and the recognizer is off by up to 0.3.
const REACH: f32 = 1.0;
/// A larger gap, in heights of the line, is not inside a word.
const WORD_GAP: f32 = 0.3;
/// Height of half of a character, from which its width is estimated where the ink does not tell.
const HALF_CHARACTER: f32 = 0.2;
/// Rows, as shares of the height of the line, in which all words except punctuation have ink.
const CORE: Range<f32> = 0.3..0.7;
/// Parts of a character that are above each other, e.g. accents, are at most this far apart, in heights of the line.
const PART_GAP: f32 = 0.1;
/// Shares of the height that belong to the line above and the one below in tight print.
const MARGIN: f32 = 0.1;

/// Returns the positions of the words of a line.
pub(crate) fn word_boxes(page: &PageImage, quad: &Quad, words: &[WordReading]) -> Vec<Quad> {
    if words.is_empty() {
        return Vec::new();
    }
    let line = LineInk::new(page, quad);
    let columns = if line.is_blank() { estimated_columns(&line, words) } else { inked_columns(&line, words) };
    let positions = columns.into_iter().map(|columns| {
        let columns = within(columns, line.columns);
        let rows = rows_of(&line, &columns);
        line.quad(&columns, &rows)
    });
    positions.collect()
}

/// Returns a range that is not empty, in a line of so many columns.
fn within(columns: Range<usize>, count: usize) -> Range<usize> {
    let start = columns.start.min(count - 1);
    start..columns.end.clamp(start + 1, count)
}

/// Returns the rows that do not belong to other lines.
fn inner_rows(line: &LineInk) -> Range<usize> {
    let margin = (MARGIN * line.rows as f32) as usize;
    margin..line.rows - margin
}

/// Returns the centers of the first and last character of each word, in columns.
fn centers(line: &LineInk, words: &[WordReading]) -> Vec<[usize; 2]> {
    let column = |point| (line.column_of(point).max(0.0) as usize).min(line.columns - 1);
    words.iter().map(|word| word.ends.map(column)).collect()
}

/// Estimates the columns of words from the centers of their characters alone.
fn estimated_columns(line: &LineInk, words: &[WordReading]) -> Vec<Range<usize>> {
    let half = (HALF_CHARACTER * line.rows as f32) as usize;
    let centers = centers(line, words);
    let mut columns: Vec<Range<usize>> =
        centers.iter().map(|[first, last]| first.saturating_sub(half)..last + half).collect();
    for (word, pair) in centers.windows(2).enumerate() {
        let middle = usize::midpoint(pair[0][1], pair[1][0]);
        columns[word].end = columns[word].end.min(middle);
        columns[word + 1].start = columns[word + 1].start.max(middle);
    }
    columns
}

/// Returns the columns of words, up to the gaps between them.
fn inked_columns(line: &LineInk, words: &[WordReading]) -> Vec<Range<usize>> {
    let counts = line.column_counts(inner_rows(line));
    let centers = centers(line, words);
    let [reach, word_gap] = [REACH, WORD_GAP].map(|share| (share * line.rows as f32) as usize);
    let first = centers[0][0];
    let last = centers[centers.len() - 1][1];
    let outwards = |columns: &mut dyn Iterator<Item = usize>| outermost_ink(&counts, columns, word_gap);
    let left = outwards(&mut (first.saturating_sub(reach)..=first).rev());
    let left = left.or_else(|| (first..=centers[0][1]).find(|&column| counts[column] > 0));
    let right = outwards(&mut (last..(last + reach).min(line.columns)));
    let right = right.or_else(|| (centers[centers.len() - 1][0]..=last).rev().find(|&column| counts[column] > 0));
    let mut start = left.unwrap_or(first);
    let mut found = Vec::with_capacity(centers.len());
    for pair in centers.windows(2) {
        let gap = gap(&counts, pair[0][1]..pair[1][0].max(pair[0][1]) + 1);
        found.push(start..gap.start);
        start = gap.end;
    }
    found.push(start..right.unwrap_or(last) + 1);
    found
}

/// Follows columns with ink, from the inside outwards, up to a gap between words. Returns the last one with ink.
fn outermost_ink(counts: &[usize], columns: &mut dyn Iterator<Item = usize>, word_gap: usize) -> Option<usize> {
    let mut outermost = None;
    let mut blank = 0;
    for column in columns {
        blank = if counts[column] > 0 { 0 } else { blank + 1 };
        if blank > word_gap {
            break;
        }
        if blank == 0 {
            outermost = Some(column);
        }
    }
    outermost
}

/// Returns the widest gap in these columns; without one, an empty range where there is the least ink.
fn gap(counts: &[usize], columns: Range<usize>) -> Range<usize> {
    let start = columns.start;
    let mut widest = 0..0;
    let mut place = start;
    for run in counts[columns.clone()].chunk_by(|a, b| (*a == 0) == (*b == 0)) {
        let run_columns = place..place + run.len();
        place = run_columns.end;
        if run[0] == 0 && run.len() > widest.len() {
            widest = run_columns;
        }
    }
    if widest.is_empty() {
        let least = columns.min_by_key(|&column| counts[column]).unwrap_or(start);
        return least..least;
    }
    widest
}

/// Returns the rows of the ink in these columns; the whole height, if there is none.
fn rows_of(line: &LineInk, columns: &Range<usize>) -> Range<usize> {
    let inked = line.inked_rows(columns);
    let at = |share: f32| ((share * line.rows as f32) as usize).min(line.rows);
    let part_gap = (PART_GAP * line.rows as f32).ceil() as usize;
    let core = at(CORE.start)..at(CORE.end).max(at(CORE.start) + 1).min(line.rows);
    let rows = core.start..core.end;
    let top = rows.clone().find(|&row| inked[row]);
    let bottom = rows.rev().find(|&row| inked[row]);
    let (Some(top), Some(bottom)) = (top, bottom) else {
        let inner = inner_rows(line);
        let top = inner.clone().find(|&row| inked[row]);
        let bottom = inner.rev().find(|&row| inked[row]);
        return top.zip(bottom).map_or(0..line.rows, |(top, bottom)| top..bottom + 1);
    };
    let counts: Vec<usize> = inked.iter().map(|&ink| usize::from(ink)).collect();
    let top = outermost_ink(&counts, &mut (0..=top).rev(), part_gap).unwrap_or(top);
    let bottom = outermost_ink(&counts, &mut (bottom..line.rows), part_gap).unwrap_or(bottom);
    top..bottom + 1
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole pixels")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::Point;

    const SIZE: [usize; 2] = [400, 120];
    /// A line of text, with the margins of detection.
    const LINE: Quad = Quad([[10.0, 30.0], [330.0, 30.0], [330.0, 80.0], [10.0, 80.0]]);
    /// Characters: left, top, width, height. The last two are a word of their own.
    const CHARACTERS: [[usize; 4]; 5] =
        [[20, 40, 12, 30], [36, 48, 12, 22], [52, 48, 12, 30], [82, 40, 12, 30], [98, 60, 4, 10]];

    fn page(gray: u8, paper: u8, marks: &[[usize; 4]]) -> PageImage {
        let mut pixels = vec![paper; SIZE[0] * SIZE[1] * PageImage::CHANNELS];
        for &[left, top, width, height] in marks {
            for row in top..top + height {
                let first = (row * SIZE[0] + left) * PageImage::CHANNELS;
                pixels[first..first + width * PageImage::CHANNELS].fill(gray);
            }
        }
        PageImage::new(SIZE[0] as u32, SIZE[1] as u32, pixels)
    }

    fn words(ends: &[[Point; 2]]) -> Vec<WordReading> {
        ends.iter().map(|&ends| WordReading { ends, ..WordReading::new(0..1, 0) }).collect()
    }

    /// Returns left, top, right and bottom of the words of a line whose characters the recognizer has seen `off` pixels
    /// from their centers.
    fn boxes(page: &PageImage, off: f32) -> Vec<[f32; 4]> {
        let read = words(&[[[26.0 + off, 55.0], [58.0 - off, 55.0]], [[88.0 + off, 55.0], [100.0 + off, 55.0]]]);
        word_boxes(page, &LINE, &read)
            .iter()
            .map(|quad| [quad.0[0][0], quad.0[0][1], quad.0[2][0], quad.0[2][1]])
            .collect()
    }

    const EXPECTED: [[f32; 4]; 2] = [[20.0, 40.0, 64.0, 78.0], [82.0, 40.0, 102.0, 70.0]];

    #[test]
    fn boxes_are_close_around_the_ink_although_the_recognizer_is_off() {
        for off in [-6.0, 0.0, 6.0] {
            assert_eq!(boxes(&page(20, 240, &CHARACTERS), off), EXPECTED, "{off}");
        }
        assert_eq!(boxes(&page(250, 60, &CHARACTERS), 0.0), EXPECTED, "white on black");
        assert_eq!(boxes(&page(190, 230, &CHARACTERS), 0.0), EXPECTED, "faint");
    }

    #[test]
    fn rules_and_neighboring_lines_are_not_part_of_words() {
        let underline = [10, 74, 320, 2];
        let border = [12, 30, 2, 50];
        let line_above = [36, 30, 100, 3];
        let marked = [&CHARACTERS[..], &[underline, border, line_above]].concat();
        let found = boxes(&page(20, 240, &marked), 0.0);
        assert_eq!(found[1], EXPECTED[1]);
        assert_eq!([found[0][0], found[0][1], found[0][2]], [20.0, 40.0, 64.0]);
    }

    #[test]
    fn words_without_contrast_are_estimated() {
        let found = boxes(&page(240, 240, &CHARACTERS), 0.0);
        assert_eq!(found, [[16.0, 30.0, 68.0, 80.0], [78.0, 30.0, 110.0, 80.0]]);
    }

    #[test]
    fn a_line_that_runs_down_the_page_has_words_in_its_direction() {
        // The same page, rotated clockwise: x becomes the height minus y.
        let upright = page(20, 240, &CHARACTERS);
        let [width, height] = SIZE;
        let mut pixels = Vec::with_capacity(width * height * PageImage::CHANNELS);
        for y in 0..width {
            for x in 0..height {
                let place = ((height - 1 - x) * width + y) * PageImage::CHANNELS;
                pixels.extend_from_slice(&upright.pixels()[place..place + PageImage::CHANNELS]);
            }
        }
        let turned = PageImage::new(height as u32, width as u32, pixels);
        let turn = |[x, y]: Point| [height as f32 - y, x];
        let read = words(&[[[26.0, 55.0], [58.0, 55.0]], [[88.0, 55.0], [100.0, 55.0]]].map(|ends| ends.map(turn)));
        let found = word_boxes(&turned, &Quad(LINE.0.map(turn)), &read);
        let expected = EXPECTED.map(|[left, top, right, bottom]| {
            Quad([[left, top], [right, top], [right, bottom], [left, bottom]].map(turn))
        });
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn words_never_overlap_and_stay_in_order(
            centers in prop::collection::vec(0.0_f32..400.0, 2..12),
            marks in prop::collection::vec((0_usize..380, 20_usize..90, 1_usize..20, 1_usize..25), 0..20),
            angle in -20.0_f32..20.0,
        ) {
            let mut centers = centers;
            centers.sort_by(f32::total_cmp);
            let read = words(&centers.chunks_exact(2).map(|pair| [[pair[0], 55.0], [pair[1], 55.0]]).collect::<Vec<_>>());
            let marks: Vec<[usize; 4]> = marks.into_iter().map(|(x, y, width, height)| [x, y, width, height]).collect();
            let (sin, cos) = angle.to_radians().sin_cos();
            let turn = |[x, y]: Point| {
                let (x, y) = (x - 170.0, y - 55.0);
                [170.0 + x * cos - y * sin, 55.0 + x * sin + y * cos]
            };
            let quad = Quad(LINE.0.map(turn));
            let found = word_boxes(&page(30, 230, &marks), &quad, &read);
            prop_assert_eq!(found.len(), read.len());
            let axis = [quad.0[1][0] - quad.0[0][0], quad.0[1][1] - quad.0[0][1]];
            let along = |[x, y]: Point| (x * axis[0] + y * axis[1]) / axis[0].hypot(axis[1]);
            for pair in found.windows(2) {
                prop_assert!(along(pair[0].0[1]) <= along(pair[1].0[0]) + 1.5);
            }
            prop_assert!(found.iter().flat_map(|quad| quad.0).flatten().all(f32::is_finite));
        }
    }
}
