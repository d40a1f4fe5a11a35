//! The ink of a line: which pixels of its crop are print, in the direction of its text.

use std::ops::Range;

use quire_document::PageImage;

use crate::geometry::{Point, Quad, subtract};

/// Lines that are taller than this, in pixels of the page, are sampled more coarsely.
const MAX_ROWS: f32 = 96.0;
/// Minimum contrast of ink to the paper, of 255; fainter lines count as blank.
const MIN_CONTRAST: u8 = 24;
/// Contrast of ink, as a share of that of the darkest pixels. Low, because boxes of words include the gray edges of
/// their characters.
const INK_SHARE: f32 = 0.3;
/// Share of the pixels that are at least as dark as the darkest ones, which excludes specks.
const DARKEST_SHARE: f32 = 0.02;
/// Width of the windows that have a paper color of their own, in heights of the line: photographs are shaded.
const WINDOW: f32 = 4.0;
/// Longer horizontal runs of ink, in heights of the line, are rules.
const MAX_RUN: f32 = 3.0;
/// Columns with a larger share of ink are rules: characters do not fill the height of a line's box.
const MAX_COLUMN_SHARE: f32 = 0.93;

/// The pixels of a line, `rows` by `columns`, sampled in the direction of its text.
#[derive(Debug)]
pub(crate) struct LineInk {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    ink: Vec<bool>,
    start: Point,
    along: Point,
    down: Point,
}

impl LineInk {
    pub(crate) fn new(page: &PageImage, quad: &Quad) -> Self {
        let [first, last, _, below] = quad.0;
        let step = (quad.breadth() / MAX_ROWS).floor().max(1.0);
        let unit = |to: Point, length: f32| subtract(to, first).map(|part| step * part / length.max(1e-3));
        let (along, down) = (unit(last, quad.length()), unit(below, quad.breadth()));
        let is_level = along.iter().chain(&down).all(|part| part.abs() < 1e-3 || (part.abs() - step).abs() < 1e-3);
        // The samples of a level line are its pixels.
        let start = if is_level { first.map(f32::round) } else { first };
        let count = |length: f32| ((length / step).ceil() as usize).clamp(1, 1 << 14);
        let (rows, columns) = (count(quad.breadth()), count(quad.length()));
        let mut line = Self { rows, columns, ink: Vec::new(), start, along, down };
        line.ink = line.separate(&line.sample(page));
        line.remove_rules();
        line
    }

    /// Returns the column of a point of the page.
    pub(crate) fn column_of(&self, point: Point) -> f32 {
        let offset = subtract(point, self.start);
        let square = self.along[0] * self.along[0] + self.along[1] * self.along[1];
        (offset[0] * self.along[0] + offset[1] * self.along[1]) / square.max(1e-6)
    }

    /// Returns the position of these columns and rows on the page.
    pub(crate) fn quad(&self, columns: &Range<usize>, rows: &Range<usize>) -> Quad {
        let at = |column: usize, row: usize| {
            let (u, v) = (column as f32, row as f32);
            [0, 1].map(|axis| self.start[axis] + u * self.along[axis] + v * self.down[axis])
        };
        Quad([
            at(columns.start, rows.start),
            at(columns.end, rows.start),
            at(columns.end, rows.end),
            at(columns.start, rows.end),
        ])
    }

    pub(crate) fn is_blank(&self) -> bool {
        !self.ink.contains(&true)
    }

    /// Returns the number of pixels with ink of each column, in these rows.
    pub(crate) fn column_counts(&self, rows: Range<usize>) -> Vec<usize> {
        let mut counts = vec![0; self.columns];
        for row in self.ink[rows.start * self.columns..rows.end * self.columns].chunks_exact(self.columns) {
            counts.iter_mut().zip(row).for_each(|(count, &ink)| *count += usize::from(ink));
        }
        counts
    }

    /// Returns whether each row has ink in these columns.
    pub(crate) fn inked_rows(&self, columns: &Range<usize>) -> Vec<bool> {
        self.ink.chunks_exact(self.columns).map(|row| row[columns.clone()].contains(&true)).collect()
    }

    /// Returns the green of the nearest pixels.
    fn sample(&self, page: &PageImage) -> Vec<u8> {
        let (width, height) = (page.width() as usize, page.height() as usize);
        let pixels = page.pixels();
        let mut values = Vec::with_capacity(self.rows * self.columns);
        for row in 0..self.rows {
            let v = row as f32 + 0.5;
            for column in 0..self.columns {
                let u = column as f32 + 0.5;
                let [x, y] = [0, 1].map(|axis| self.start[axis] + u * self.along[axis] + v * self.down[axis]);
                let (x, y) = ((x.max(0.0) as usize).min(width - 1), (y.max(0.0) as usize).min(height - 1));
                values.push(pixels[(y * width + x) * PageImage::CHANNELS + 1]);
            }
        }
        values
    }

    /// Separates ink from paper. The paper is the most frequent half of a window: most of a line is blank.
    fn separate(&self, values: &[u8]) -> Vec<bool> {
        let window = ((WINDOW * self.rows as f32) as usize).max(1);
        let mut contrast = vec![0_u8; values.len()];
        let mut histogram = [0_usize; 256];
        for first in (0..self.columns).step_by(window) {
            let columns = first..(first + window).min(self.columns);
            let rows = (0..self.rows).map(|row| row * self.columns);
            let paper = median(rows.clone().flat_map(|row| &values[row + columns.start..row + columns.end]));
            for place in rows.flat_map(|row| row + columns.start..row + columns.end) {
                contrast[place] = values[place].abs_diff(paper);
                histogram[usize::from(contrast[place])] += 1;
            }
        }
        let mut left = (DARKEST_SHARE * values.len() as f32) as usize;
        let darkest = (0..=255_u8).rev().find(|&value| {
            let count = histogram[usize::from(value)];
            let is_reached = count > left;
            left = left.saturating_sub(count);
            is_reached
        });
        let darkest = darkest.unwrap_or(0);
        if darkest < MIN_CONTRAST {
            return vec![false; values.len()];
        }
        let threshold = (INK_SHARE * f32::from(darkest)).max(f32::from(MIN_CONTRAST) / 2.0);
        contrast.into_iter().map(|value| f32::from(value) >= threshold).collect()
    }

    /// Removes horizontal and vertical rules, e.g. underlines and the borders of cells.
    fn remove_rules(&mut self) {
        let longest = (MAX_RUN * self.rows as f32) as usize;
        for row in self.ink.chunks_exact_mut(self.columns) {
            for run in row.chunk_by_mut(|a, b| a == b).filter(|run| run.len() > longest) {
                run.fill(false);
            }
        }
        let tallest = (MAX_COLUMN_SHARE * self.rows as f32) as usize;
        for (column, count) in self.column_counts(0..self.rows).into_iter().enumerate() {
            if count > tallest {
                self.ink.iter_mut().skip(column).step_by(self.columns).for_each(|ink| *ink = false);
            }
        }
    }
}

fn median<'a>(values: impl Iterator<Item = &'a u8>) -> u8 {
    let mut histogram = [0_usize; 256];
    let mut count = 0;
    for &value in values {
        histogram[usize::from(value)] += 1;
        count += 1;
    }
    let mut passed = 0;
    let middle = (0..=255_u8).find(|&value| {
        passed += histogram[usize::from(value)];
        2 * passed > count
    });
    middle.unwrap_or(255)
}
