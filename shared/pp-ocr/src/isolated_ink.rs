//! Finds single characters that detection misses: a digit far from other text, in a row where other columns have text.

use std::ops::Range;

use quire_document::PageImage;

use crate::geometry::{Point, Quad};

/// Minimum contrast of ink to the paper around it, of 255.
const MIN_CONTRAST: u8 = 45;
/// Lines are in one row if their centers differ by at most this share of their height.
const SAME_ROW: f32 = 0.3;
/// Height of a character, as a share of the height of a line's box.
const HEIGHT: std::ops::RangeInclusive<f32> = 0.3..=0.75;
/// Width of a character, as a share of the height of a line's box.
const WIDTH: std::ops::RangeInclusive<f32> = 0.05..=0.7;
/// Blank paper on both sides of a character, in heights of a box.
const MARGIN: f32 = 0.35;
/// Parts of a character are at most this far apart, in heights of a box.
const PART_GAP: f32 = 0.1;
/// Minimum ink of a character, as a share of its rectangle.
const MIN_INK: f32 = 0.12;
/// Maximum distance of a column from the outermost text of the page, in heights of a box.
const REACH: f32 = 6.0;
/// Maximum number of characters per page. More are a pattern.
const MAX_CHARACTERS: usize = 64;
/// Maximum slope of lines in a level row.
const MAX_SLOPE: f32 = 0.01;

/// Bounding box of a line or a character, in pixels of the page.
#[derive(Debug, Clone, Copy)]
struct Extent {
    low: Point,
    high: Point,
}

impl Extent {
    fn of(quad: &Quad) -> Self {
        let fold = |start: f32, pick: fn(f32, f32) -> f32, axis: usize| {
            quad.0.iter().map(|corner| corner[axis]).fold(start, pick)
        };
        let low = [0, 1].map(|axis| fold(f32::INFINITY, f32::min, axis));
        let high = [0, 1].map(|axis| fold(f32::NEG_INFINITY, f32::max, axis));
        Self { low, high }
    }

    fn height(&self) -> f32 {
        self.high[1] - self.low[1]
    }

    fn middle(&self) -> f32 {
        f32::midpoint(self.low[1], self.high[1])
    }
}

/// Returns the positions of ink of the size of a character beside the lines of an upright page: in rows of two or more
/// lines, outside of all boxes.
pub(crate) fn isolated_characters(page: &PageImage, lines: &[Quad]) -> Vec<Quad> {
    let is_level = |line: &&Quad| (line.0[1][1] - line.0[0][1]).abs() <= MAX_SLOPE * line.length().max(100.0);
    let level: Vec<Extent> = lines.iter().filter(is_level).map(Extent::of).collect();
    let all: Vec<Extent> = lines.iter().map(Extent::of).collect();
    let Some(left) = all.iter().map(|line| line.low[0]).reduce(f32::min) else { return Vec::new() };
    let right = all.iter().map(|line| line.high[0]).fold(0.0, f32::max);
    let mut found = Vec::new();
    for row in rows(level) {
        let mut heights: Vec<f32> = row.iter().map(Extent::height).collect();
        heights.sort_by(f32::total_cmp);
        let height = heights[heights.len() / 2];
        let middle = row.iter().map(Extent::middle).sum::<f32>() / row.len() as f32;
        let strip = Extent {
            low: [(left - REACH * height).max(0.0), (middle - height / 2.0).max(0.0)],
            high: [
                (right + REACH * height).min(page.width() as f32),
                (middle + height / 2.0).min(page.height() as f32),
            ],
        };
        for gap in gaps(&strip, &all, height) {
            found.extend(characters(page, &strip, gap, height));
        }
        if found.len() > MAX_CHARACTERS {
            return Vec::new();
        }
    }
    found
}

/// Groups lines into rows of two or more.
fn rows(mut lines: Vec<Extent>) -> Vec<Vec<Extent>> {
    lines.sort_by(|a, b| a.middle().total_cmp(&b.middle()));
    let mut rows: Vec<Vec<Extent>> = Vec::new();
    for line in lines {
        let is_same = |row: &Vec<Extent>| {
            let first = row[0];
            line.middle() - first.middle() <= SAME_ROW * first.height().min(line.height())
        };
        match rows.last_mut().filter(|row| is_same(row)) {
            Some(row) => row.push(line),
            None => rows.push(vec![line]),
        }
    }
    rows.retain(|row| row.len() >= 2);
    rows
}

/// Returns the columns of a row that no box covers, if they are wide enough for a character.
fn gaps(strip: &Extent, lines: &[Extent], height: f32) -> Vec<Range<usize>> {
    let in_strip = |line: &&Extent| line.low[1] < strip.high[1] && line.high[1] > strip.low[1];
    let mut boxes: Vec<Extent> = lines.iter().filter(in_strip).copied().collect();
    boxes.sort_by(|a, b| a.low[0].total_cmp(&b.low[0]));
    let mut reach = strip.low[0];
    let mut gaps = Vec::new();
    for [left, right] in boxes.iter().map(|line| [line.low[0], line.high[0]]).chain([[strip.high[0]; 2]]) {
        if left - reach >= height {
            gaps.push(reach as usize..left as usize);
        }
        reach = reach.max(right);
    }
    gaps
}

/// Returns the isolated characters in these columns of a row.
fn characters(page: &PageImage, strip: &Extent, columns: Range<usize>, height: f32) -> Vec<Quad> {
    let rows = strip.low[1] as usize..strip.high[1] as usize;
    let green =
        |row: usize, column: usize| page.pixels()[(row * page.width() as usize + column) * PageImage::CHANNELS + 1];
    let mut sample: Vec<u8> = rows
        .clone()
        .step_by(3)
        .flat_map(|row| columns.clone().step_by(3).map(move |column| green(row, column)))
        .collect();
    if sample.is_empty() {
        return Vec::new();
    }
    let middle = sample.len() / 2;
    let paper = *sample.select_nth_unstable(middle).1;
    let is_ink = |row: usize, column: usize| green(row, column).abs_diff(paper) >= MIN_CONTRAST;
    let inked: Vec<usize> = columns.clone().filter(|&column| rows.clone().any(|row| is_ink(row, column))).collect();
    let part_gap = (PART_GAP * height) as usize + 1;
    let blobs: Vec<&[usize]> = inked.chunk_by(|a, b| b - a <= part_gap).collect();
    let margin = (MARGIN * height) as usize;
    let mut found = Vec::new();
    for (index, blob) in blobs.iter().enumerate() {
        let [first, last] = [blob[0], blob[blob.len() - 1]];
        let before = index.checked_sub(1).map_or(0, |index| blobs[index][blobs[index].len() - 1]);
        let after = blobs.get(index + 1).map_or(usize::MAX, |next| next[0]);
        let width = (last + 1 - first) as f32 / height;
        if !WIDTH.contains(&width) || first < before + margin || after - last < margin {
            continue;
        }
        let inked_rows: Vec<usize> =
            rows.clone().filter(|&row| (first..=last).any(|column| is_ink(row, column))).collect();
        let [top, bottom] = [inked_rows[0], inked_rows[inked_rows.len() - 1] + 1];
        let ink = (top..bottom).map(|row| (first..=last).filter(|&column| is_ink(row, column)).count()).sum::<usize>();
        let area = (bottom - top) * (last + 1 - first);
        if HEIGHT.contains(&((bottom - top) as f32 / height)) && ink as f32 >= MIN_INK * area as f32 {
            let [left, right] = [first as f32 - margin as f32, (last + 1 + margin) as f32];
            let [top, bottom] = [strip.low[1], strip.high[1]];
            found.push(Quad([[left, top], [right, top], [right, bottom], [left, bottom]]));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: [usize; 2] = [400, 200];

    fn at([left, top, width, height]: [f32; 4]) -> Quad {
        Quad([[left, top], [left + width, top], [left + width, top + height], [left, top + height]])
    }

    /// Draws filled rectangles of this gray: left, top, width, height.
    fn page(gray: u8, marks: &[[usize; 4]]) -> PageImage {
        let mut pixels = vec![240_u8; SIZE[0] * SIZE[1] * PageImage::CHANNELS];
        for &[left, top, width, height] in marks {
            for (row, column) in
                (top..top + height).flat_map(|row| (left..left + width).map(move |column| (row, column)))
            {
                let first = (row * SIZE[0] + column) * PageImage::CHANNELS;
                pixels[first..first + PageImage::CHANNELS].fill(gray);
            }
        }
        PageImage::new(SIZE[0] as u32, SIZE[1] as u32, pixels)
    }

    /// An article and its price.
    const ROW: [[f32; 4]; 2] = [[100.0, 50.0, 100.0, 30.0], [300.0, 51.0, 60.0, 29.0]];

    fn found(gray: u8, marks: &[[usize; 4]], lines: &[[f32; 4]]) -> Vec<[f32; 2]> {
        let lines: Vec<Quad> = lines.iter().copied().map(at).collect();
        isolated_characters(&page(gray, marks), &lines).iter().map(Quad::center).collect()
    }

    #[test]
    fn a_faint_digit_beside_an_article_and_its_price_is_found() {
        let [digit] = found(180, &[[40, 58, 9, 15]], &ROW)[..] else { panic!("one digit") };
        assert!((digit[0] - 44.5).abs() < 2.0 && (digit[1] - 65.0).abs() < 3.0, "{digit:?}");
        assert_eq!(found(180, &[[240, 58, 3, 15]], &ROW).len(), 1, "between two columns, narrow as a 1");
    }

    #[test]
    fn other_marks_are_not_characters() {
        assert!(found(0, &[], &ROW).is_empty());
        assert!(found(0, &[[40, 0, 2, 200]], &ROW).is_empty(), "a rule of a table");
        assert!(found(0, &[[20, 65, 70, 2]], &ROW).is_empty(), "a leader");
        assert!(found(0, &[[40, 64, 3, 3]], &ROW).is_empty(), "a speck");
        assert!(found(0, &[[30, 58, 9, 15], [43, 58, 9, 15], [56, 58, 9, 15]], &ROW).is_empty(), "a word");
        assert!(found(220, &[[40, 58, 9, 15]], &ROW).is_empty(), "a shadow");
        assert!(found(0, &[[40, 58, 9, 15]], &ROW[..1]).is_empty(), "a row needs two columns");
        assert!(found(0, &[[120, 58, 9, 15]], &ROW).is_empty(), "the line has it");
    }
}
