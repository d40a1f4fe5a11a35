//! Finds rulings: long thin lines that are darker than what is on both sides of them.

use crate::gray::GrayImage;

/// Minimum difference of a ruling from both sides, of 255. Noise of scans is below, and light gray rulings are above.
const MIN_CONTRAST: u8 = 22;
/// Minimum share of the pixels of a ruling that are dark: the tops of letters in a row have half.
const MIN_FILL: f32 = 0.8;

/// A horizontal or vertical ruling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ruling {
    /// Its place across its direction: y of a horizontal one.
    pub(crate) at: f32,
    /// Where it starts,
    pub(crate) from: f32,
    /// and where it ends along its direction.
    pub(crate) to: f32,
}

/// The rulings of a page.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Rulings {
    pub(crate) horizontal: Vec<Ruling>,
    pub(crate) vertical: Vec<Ruling>,
    /// Maximum distance of rulings that touch, in pixels.
    pub(crate) tolerance: f32,
}

impl Ruling {
    pub(crate) fn length(&self) -> f32 {
        self.to - self.from
    }

    /// Returns the length that a range shares with it.
    pub(crate) fn shared(&self, from: f32, to: f32) -> f32 {
        (self.to.min(to) - self.from.max(from)).max(0.0)
    }
}

/// A run of dark pixels along a row or a column.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    start: u32,
    /// The last dark pixel.
    last: u32,
    /// The number of dark pixels.
    dark: u32,
}

impl Run {
    const fn new(at: u32) -> Self {
        Self { start: at, last: at, dark: 1 }
    }

    /// Adds a pixel. Returns the run that ends before it, if the gap is too large.
    fn add(&mut self, at: u32, max_gap: u32) -> Option<Self> {
        if self.dark > 0 && at - self.last <= max_gap {
            self.last = at;
            self.dark += 1;
            return None;
        }
        let ended = std::mem::replace(self, Self::new(at));
        (ended.dark > 0).then_some(ended)
    }

    fn ruling(&self, at: usize, min_length: f32) -> Option<Ruling> {
        let length = (self.last + 1 - self.start) as f32;
        let is_ruling = length >= min_length && self.dark as f32 >= MIN_FILL * length;
        is_ruling.then(|| Ruling { at: at as f32 + 0.5, from: self.start as f32, to: (self.last + 1) as f32 })
    }
}

/// Returns the rulings of an image. `line_height` is the typical height of its lines of text, in pixels: strokes of
/// letters are shorter than it, and rulings are longer.
pub(crate) fn find_rulings(image: &GrayImage, line_height: f32) -> Rulings {
    // A ruling is compared with what is at two distances: the near one is inside of a thick ruling, and the far one may
    // be inside of text beside it. Boxes of lines are about twice as high as their font size.
    let near = (line_height * 0.06).round().clamp(2.0, 4.0) as usize;
    let far = (line_height * 0.15).round().clamp(4.0, 12.0) as usize;
    let tolerance = far as f32 + 1.0;
    let horizontal = merge(horizontal_runs(image, [near, far], 1.3 * line_height), tolerance);
    let vertical = merge(vertical_runs(image, [near, far], 0.85 * line_height), tolerance);
    Rulings { horizontal, vertical, tolerance }
}

fn horizontal_runs(image: &GrayImage, [near, far]: [usize; 2], min_length: f32) -> Vec<Ruling> {
    let mut found = Vec::new();
    let mut mask = vec![0_u8; image.width()];
    for y in far..image.height().saturating_sub(far) {
        let row = image.row(y);
        mark(&mut mask, row, image.row(y - near), image.row(y + near), false);
        mark(&mut mask, row, image.row(y - far), image.row(y + far), true);
        let mut run = Run::default();
        for x in dark_pixels(&mask) {
            found.extend(run.add(x, 2).and_then(|ended| ended.ruling(y, min_length)));
        }
        found.extend(run.ruling(y, min_length));
    }
    found
}

fn vertical_runs(image: &GrayImage, [near, far]: [usize; 2], min_length: f32) -> Vec<Ruling> {
    let width = image.width();
    let mut found = Vec::new();
    if width <= 2 * far {
        return found;
    }
    let mut mask = vec![0_u8; width];
    let mut runs = vec![Run::default(); width];
    // A vertical ruling has a gap where a horizontal one crosses it.
    let max_gap = far as u32 + 1;
    let inner = far..width - far;
    for y in 0..image.height() {
        let row = image.row(y);
        let (marked, pixels) = (&mut mask[inner.clone()], &row[inner.clone()]);
        mark(marked, pixels, &row[far - near..], &row[far + near..], false);
        mark(marked, pixels, row, &row[2 * far..], true);
        for x in dark_pixels(&mask) {
            let ended = runs[x as usize].add(y as u32, max_gap);
            found.extend(ended.and_then(|run| run.ruling(x as usize, min_length)));
        }
    }
    found.extend(runs.iter().enumerate().filter_map(|(x, run)| run.ruling(x, min_length)));
    found
}

/// Marks the pixels that are darker than what is on both sides of them, in addition to those that are marked if `keeps`.
fn mark(mask: &mut [u8], pixels: &[u8], before: &[u8], behind: &[u8], keeps: bool) {
    let kept = u8::from(keeps);
    for (((mask, pixel), before), behind) in mask.iter_mut().zip(pixels).zip(before).zip(behind) {
        *mask = (*mask & kept) | u8::from(before.min(behind).saturating_sub(*pixel) >= MIN_CONTRAST);
    }
}

/// Returns the places of the pixels that are set, most of which are not: eight of them are skipped at a time.
fn dark_pixels(mask: &[u8]) -> impl Iterator<Item = u32> {
    let (chunks, rest) = mask.as_chunks::<8>();
    let has_set = |(_, chunk): &(usize, &[u8; 8])| u64::from_ne_bytes(**chunk) != 0;
    let set_in = |start: usize, values: &'_ [u8]| {
        let bits = values.iter().enumerate().fold(0_u8, |bits, (offset, set)| bits | u8::from(*set != 0) << offset);
        (0..8_u32).filter(move |offset| bits >> offset & 1 == 1).map(move |offset| start as u32 + offset)
    };
    let in_chunks = chunks.iter().enumerate().filter(has_set).flat_map(move |(index, chunk)| set_in(index * 8, chunk));
    in_chunks.chain(set_in(mask.len() - rest.len(), rest))
}

/// Merges the runs of a ruling that is several pixels wide or slightly slanted.
fn merge(mut runs: Vec<Ruling>, tolerance: f32) -> Vec<Ruling> {
    runs.sort_by(|a, b| a.at.total_cmp(&b.at).then(a.from.total_cmp(&b.from)));
    let mut merged: Vec<(Ruling, f32)> = Vec::new();
    let mut first_near = 0;
    for run in runs {
        while merged.get(first_near).is_some_and(|(_, last)| run.at - last > 2.0 * tolerance) {
            first_near += 1;
        }
        let touches = |(ruling, last): &&mut (Ruling, f32)| {
            run.at - *last <= 2.0 && run.from <= ruling.to + tolerance && ruling.from <= run.to + tolerance
        };
        match merged[first_near..].iter_mut().find(touches) {
            Some((ruling, last)) => {
                // The mean, weighted by length.
                let share = run.length() / (run.length() + ruling.length());
                ruling.at += (run.at - ruling.at) * share;
                ruling.from = ruling.from.min(run.from);
                ruling.to = ruling.to.max(run.to);
                *last = run.at;
            }
            None => merged.push((run, run.at)),
        }
    }
    merged.into_iter().map(|(ruling, _)| ruling).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pure white paper of 300 × 200 pixels with these rectangles in this gray.
    fn image(gray: u8, rects: &[[usize; 4]]) -> GrayImage {
        let mut pixels = vec![255; 60_000];
        for [left, top, right, bottom] in rects {
            for y in *top..*bottom {
                pixels[y * 300 + left..y * 300 + right].fill(gray);
            }
        }
        GrayImage::new(300, 200, pixels)
    }

    fn near(found: Ruling, at: f32, from: f32, to: f32) -> bool {
        (found.at - at).abs() < 1.0 && (found.from - from).abs() < 8.0 && (found.to - to).abs() < 8.0
    }

    #[test]
    fn thin_lines_are_rulings_also_light_ones() {
        for gray in [0, 215] {
            let found = find_rulings(&image(gray, &[[20, 50, 280, 52], [100, 50, 101, 180]]), 20.0);
            let [horizontal] = found.horizontal[..] else { panic!("{found:?}") };
            let [vertical] = found.vertical[..] else { panic!("{found:?}") };
            assert!(near(horizontal, 51.0, 20.0, 280.0), "{horizontal:?}");
            assert!(near(vertical, 100.5, 50.0, 180.0), "{vertical:?}");
        }
    }

    #[test]
    fn areas_and_short_strokes_are_no_rulings() {
        let found = find_rulings(&image(0, &[[20, 50, 280, 90], [30, 120, 50, 122], [60, 120, 62, 132]]), 20.0);
        assert_eq!(found, Rulings { tolerance: found.tolerance, ..Rulings::default() });
    }

    #[test]
    fn a_ruling_that_is_crossed_is_one() {
        let grid = [[20, 50, 280, 52], [20, 100, 280, 102], [100, 20, 102, 150], [200, 20, 202, 150]];
        let found = find_rulings(&image(30, &grid), 20.0);
        assert_eq!((found.horizontal.len(), found.vertical.len()), (2, 2), "{found:?}");
    }

    #[test]
    fn an_image_without_rows_has_no_rulings() {
        assert_eq!(find_rulings(&GrayImage::new(3, 3, vec![0; 9]), 20.0).horizontal, []);
        assert_eq!(find_rulings(&GrayImage::new(0, 0, vec![]), 20.0).vertical, []);
    }
}
