//! Finds the parts of a text line that have ink, in the pixels of the page.

use std::ops::Range;

use quire_document::PageImage;

use crate::geometry::Quad;

/// Number of rows of pixels that are sampled across a line,
const SAMPLED_ROWS: usize = 10;
/// and maximum number of columns per height of its box: a gap is at least three of them.
const COLUMNS_PER_HEIGHT: f32 = 28.0;
/// Share of a line's height, without the margins of its box, in which ink is searched: beyond it are the letters of
/// other lines.
const SAMPLED_HEIGHT: Range<f32> = 0.2..0.8;
/// Maximum number of columns that are sampled along a line.
const MAX_COLUMNS: usize = 4_000;
/// Minimum difference of ink from the background, as a share of the largest difference in the line: thin strokes in
/// small print are gray.
const INK_SHARE: f32 = 0.35;
/// Minimum difference of ink from the background, of 255: noise is below.
const MIN_INK: u8 = 30;
/// Minimum width of a gap between fragments, in heights of the line's box: less than a space between words.
const MIN_GAP: f32 = 0.12;

/// Returns the fragments of a line that have ink, such as its words, as shares of its length. The whole line if no ink
/// is found.
pub(crate) fn ink_fragments(page: &PageImage, line: &Quad) -> Vec<Range<f32>> {
    let most = COLUMNS_PER_HEIGHT * line.length() / line.breadth().max(1.0);
    let columns = (line.length().min(most).ceil().max(1.0) as usize).min(MAX_COLUMNS);
    let samples = sample(page, line, columns);
    let mut sorted = samples.clone();
    let background = *sorted.select_nth_unstable(samples.len() / 2).1;
    let difference = |value: &u8| value.abs_diff(background);
    let largest = samples.iter().map(difference).max().unwrap_or(0);
    let threshold = ((f32::from(largest) * INK_SHARE) as u8).max(MIN_INK);
    let has_ink: Vec<bool> = samples
        .chunks_exact(SAMPLED_ROWS)
        .map(|column| column.iter().any(|value| difference(value) > threshold))
        .collect();
    let min_gap = MIN_GAP * line.breadth() / line.length().max(f32::MIN_POSITIVE) * columns as f32;
    let mut fragments: Vec<Range<usize>> = Vec::new();
    for column in (0..columns).filter(|&column| has_ink[column]) {
        match fragments.last_mut().filter(|last| (column - last.end) as f32 <= min_gap) {
            Some(last) => last.end = column + 1,
            None => fragments.push(column..column + 1),
        }
    }
    let share = |column: usize| column as f32 / columns as f32;
    let fragments: Vec<Range<f32>> =
        fragments.into_iter().map(|fragment| share(fragment.start)..share(fragment.end)).collect();
    if fragments.is_empty() { std::iter::once(0.0..1.0).collect() } else { fragments }
}

/// Returns the green channel of the nearest pixels, column by column.
fn sample(page: &PageImage, line: &Quad, columns: usize) -> Vec<u8> {
    let [start, end, _, below] = line.0;
    let clamp = |value: f32, side: u32| (value.max(0.0) as usize).min(side as usize - 1);
    let mut samples = Vec::with_capacity(columns * SAMPLED_ROWS);
    for column in 0..columns {
        let along = (column as f32 + 0.5) / columns as f32;
        for row in 0..SAMPLED_ROWS {
            let within = (row as f32 + 0.5) / SAMPLED_ROWS as f32;
            let across = SAMPLED_HEIGHT.start + within * (SAMPLED_HEIGHT.end - SAMPLED_HEIGHT.start);
            let at =
                |axis: usize| start[axis] + along * (end[axis] - start[axis]) + across * (below[axis] - start[axis]);
            let (x, y) = (clamp(at(0), page.width()), clamp(at(1), page.height()));
            samples.push(page.pixels()[(y * page.width() as usize + x) * PageImage::CHANNELS + 1]);
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    /// White paper of 200 × 40 pixels with black ink in these columns.
    fn page(ink: &[Range<u32>]) -> PageImage {
        let is_ink = |x: u32, y: u32| {
            (10..30).contains(&y) && !x.is_multiple_of(3) && ink.iter().any(|range| range.contains(&x))
        };
        let pixels = (0..40).flat_map(|y| (0..200).flat_map(move |x| [if is_ink(x, y) { 0 } else { 250 }; 3]));
        PageImage::new(200, 40, pixels.collect())
    }

    fn whole() -> Quad {
        Quad([[0.0, 0.0], [200.0, 0.0], [200.0, 40.0], [0.0, 40.0]])
    }

    #[test]
    fn words_are_fragments_and_letters_are_not() {
        let fragments = ink_fragments(&page(&[20..61, 80..121, 150..181]), &whole());
        let columns: Vec<_> = fragments
            .iter()
            .map(|fragment| (fragment.start * 200.0).round() as u32..(fragment.end * 200.0).round() as u32)
            .collect();
        // Every third column is blank, which is no gap between words.
        assert_eq!(columns, [20..60, 80..120, 151..180]);
    }

    #[test]
    fn a_blank_line_is_one_fragment() {
        assert_eq!(ink_fragments(&page(&[]), &whole()), [0.0..1.0]);
        let outside = Quad([[-50.0, -90.0], [-10.0, -90.0], [-10.0, -50.0], [-50.0, -50.0]]);
        assert_eq!(ink_fragments(&page(slice::from_ref(&(0..200))), &outside), [0.0..1.0]);
        assert_eq!(ink_fragments(&page(slice::from_ref(&(0..200))), &Quad([[3.0, 3.0]; 4])).len(), 1);
    }

    #[test]
    fn the_direction_of_the_text_is_the_direction_of_the_shares() {
        let upright = ink_fragments(&page(slice::from_ref(&(20..62))), &whole());
        let reversed = ink_fragments(&page(slice::from_ref(&(20..62))), &whole().rotated(2));
        assert!((upright[0].start + reversed[0].end - 1.0).abs() < 0.011, "{upright:?} {reversed:?}");
    }
}
