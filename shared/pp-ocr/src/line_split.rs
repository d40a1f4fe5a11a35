//! Splits lines that detection merged across a gutter.

use std::ops::Range;

use quire_document::PageImage;

use crate::{
    deskew::deskew,
    geometry::{Point, Quad},
    ink_fragments::ink_fragments,
    xy_cut::{pieces, regions},
};

/// Margin of a line beside a gutter, in heights of its box.
const MARGIN: f32 = 0.3;

/// Returns the lines, of which those that cross a gutter between columns are split there, and whether the page has such
/// gutters. `along` is the direction of text on the page.
pub(crate) fn split_at_gutters(page: &PageImage, lines: Vec<Quad>, along: Point) -> (Vec<Quad>, bool) {
    let facing: Vec<Quad> = lines.iter().map(|line| line.facing(along)).collect();
    let fragments: Vec<Vec<Range<f32>>> = facing.iter().map(|line| ink_fragments(page, line)).collect();
    let pieces = pieces(&deskew(&facing, along), &fragments);
    let regions = regions(pieces);
    if regions.len() == 1 {
        return (lines, false);
    }
    let mut region_of: Vec<Vec<(f32, usize)>> = vec![Vec::new(); lines.len()];
    for (region, members) in regions.into_iter().enumerate() {
        members.pieces.iter().for_each(|piece| region_of[piece.line].push((piece.bounds.left, region)));
    }
    let mut split = Vec::with_capacity(lines.len());
    for (index, line) in lines.into_iter().enumerate() {
        region_of[index].sort_by(|a, b| a.0.total_cmp(&b.0));
        let in_region: Vec<usize> = region_of[index].iter().map(|(_, region)| *region).collect();
        let parts = parts(&facing[index], &fragments[index], &in_region);
        if parts.len() == 1 { split.push(line) } else { split.extend(parts) }
    }
    (split, true)
}

/// Cuts a line between fragments of different regions. Leaves out the blank of wide gutters, but never ink.
fn parts(line: &Quad, fragments: &[Range<f32>], regions: &[usize]) -> Vec<Quad> {
    let margin = MARGIN * line.breadth() / line.length().max(f32::MIN_POSITIVE);
    let mut parts = Vec::new();
    let mut start = 0.0;
    for (index, pair) in regions.windows(2).enumerate() {
        if pair[0] != pair[1] {
            let (end, next) = (fragments[index].end, fragments[index + 1].start);
            let middle = f32::midpoint(end, next);
            parts.push(line.section(start, (end + margin).min(middle)));
            start = (next - margin).max(middle);
        }
    }
    parts.push(line.section(start, 1.0));
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RIGHT: Point = [1.0, 0.0];
    const PITCH: u32 = 30;

    /// Rows of text in columns: strokes of 18 pixels height on white, in these ranges of x for each row.
    fn page(width: u32, rows: &[Vec<Range<u32>>]) -> PageImage {
        let height = PITCH * rows.len() as u32;
        let is_ink = |x: u32, y: u32| {
            x.is_multiple_of(3)
                && (6..24).contains(&(y % PITCH))
                && rows[(y / PITCH) as usize].iter().any(|ink| ink.contains(&x))
        };
        let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| [if is_ink(x, y) { 20 } else { 240 }; 3]));
        PageImage::new(width, height, pixels.collect())
    }

    /// A box around each row.
    fn merged(width: u32, rows: usize) -> Vec<Quad> {
        let row = |row: usize| {
            let (top, right) = (PITCH as f32 * row as f32 + 2.0, width as f32);
            Quad([[0.0, top], [right, top], [right, top + 26.0], [0.0, top + 26.0]])
        };
        (0..rows).map(row).collect()
    }

    /// Words that fill `from..to`, with spaces that move from row to row.
    fn words(from: u32, to: u32, row: usize) -> Vec<Range<u32>> {
        let space = from + 40 + (row as u32 * 37) % (to - from - 90);
        vec![from..space, space + 9..to]
    }

    #[test]
    fn a_line_across_a_narrow_gutter_is_split_there() {
        let rows: Vec<_> = (0..16).map(|row| [words(4, 290, row), words(306, 596, row + 3)].concat()).collect();
        let (split, _) = split_at_gutters(&page(600, &rows), merged(600, 16), RIGHT);
        assert_eq!(split.len(), 32);
        for pair in split.chunks(2) {
            let (end, start) = (pair[0].0[1][0], pair[1].0[0][0]);
            assert!(
                (290.0..=299.0).contains(&end) && (297.0..=306.0).contains(&start) && end <= start,
                "{end} {start}"
            );
        }
    }

    #[test]
    fn a_heading_with_a_space_over_the_gutter_stays_whole() {
        let mut rows: Vec<_> = (0..16).map(|row| [words(4, 290, row), words(306, 596, row + 3)].concat()).collect();
        rows.insert(0, Vec::new());
        rows.insert(0, Vec::new());
        rows.insert(0, vec![150..288, 308..400]);
        let lines: Vec<Quad> = merged(600, 19)
            .into_iter()
            .enumerate()
            .filter(|(row, _)| ![1, 2].contains(row))
            .map(|(_, line)| line)
            .collect();
        let (split, _) = split_at_gutters(&page(600, &rows), lines.clone(), RIGHT);
        assert_eq!((split.len(), split[0]), (33, lines[0]));
    }

    #[test]
    fn a_page_on_its_side_is_split_along_its_text() {
        let rows: Vec<_> = (0..16).map(|row| [words(4, 290, row), words(306, 596, row + 3)].concat()).collect();
        let upright = page(600, &rows);
        let turned = PageImage::new(
            480,
            600,
            (0..600_usize)
                .flat_map(|y| (0..480_usize).map(move |x| (x, y)))
                .flat_map(|(x, y)| {
                    let from = ((479 - x) * 600 + y) * PageImage::CHANNELS;
                    upright.pixels()[from..from + 3].to_vec()
                })
                .collect(),
        );
        let lines = merged(600, 16).into_iter().map(|line| Quad(line.0.map(|[x, y]| [480.0 - y, x]))).collect();
        assert_eq!(split_at_gutters(&turned, lines, [0.0, 1.0]).0.len(), 32);
    }

    #[test]
    fn table_rows_and_lines_of_one_column_stay_whole() {
        let table: Vec<_> = (0..16_u32).map(|row| vec![4..40 + row * 13 % 90, 260..330, 500..540]).collect();
        assert_eq!(split_at_gutters(&page(600, &table), merged(600, 16), RIGHT), (merged(600, 16), false));
        let text: Vec<_> = (0..16).map(|row| words(4, 596, row)).collect();
        assert_eq!(split_at_gutters(&page(600, &text), merged(600, 16), RIGHT), (merged(600, 16), false));
        assert_eq!(split_at_gutters(&page(600, &text), Vec::new(), RIGHT).0, []);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn splitting_loses_no_ink(
            columns in 1_u32..4, gutter in 4_u32..40, rows in 4_usize..20, shift in 0_usize..50,
        ) {
            let width = 900;
            let column = width / columns;
            let row = |row: usize| -> Vec<Range<u32>> {
                let words_of = |index: u32| {
                    words(index * column + 2, (index + 1) * column - gutter, row + shift + index as usize)
                };
                (0..columns).flat_map(words_of).collect()
            };
            let rows: Vec<_> = (0..rows).map(row).collect();
            let (split, _) = split_at_gutters(&page(width, &rows), merged(width, rows.len()), RIGHT);
            for (row, ink) in rows.iter().enumerate() {
                let middle = PITCH as f32 * row as f32 + 15.0;
                for x in ink.iter().flat_map(|word| [word.start as f32 + 0.5, word.end as f32 - 0.5]) {
                    let parts = split.iter().filter(|part| part.contains([x, middle])).count();
                    prop_assert_eq!(parts, 1, "x {} of row {}", x, row);
                }
            }
        }
    }
}
