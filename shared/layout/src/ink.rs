//! The ink of a line, as ranges along it.

use crate::{gray::GrayImage, rect::Rect, rulings::Rulings};

/// Share of the height of a box in which ink is searched: beyond it are the letters of other lines.
const SEARCHED: [f32; 2] = [0.18, 0.82];
/// Minimum difference of ink from the background, as a share of the largest difference in the line,
const INK_SHARE: f32 = 0.35;
/// and of 255: noise is below.
const MIN_INK: u8 = 30;
/// Maximum distance of ink of one fragment, in heights of the box: less than a space between words.
const MAX_JOINED: f32 = 0.12;

/// Where a line has ink.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ink {
    /// Start and end of each fragment, such as a word, from the left. Never empty.
    pub(crate) fragments: Vec<[f32; 2]>,
}

impl Ink {
    /// Returns where the ink starts and ends.
    pub(crate) fn extent(&self) -> [f32; 2] {
        let ends = |side: usize, of: Option<&[f32; 2]>| of.map_or(0.0, |fragment| fragment[side]);
        [ends(0, self.fragments.first()), ends(1, self.fragments.last())]
    }

    /// Returns the widest gap near a place; the place itself if there is ink.
    pub(crate) fn gap_at(&self, place: f32, height: f32) -> [f32; 2] {
        let gaps = self.fragments.windows(2).map(|pair| [pair[0][1], pair[1][0]]);
        let near = gaps.filter(|gap| gap[0] <= place + 0.3 * height && gap[1] >= place - 0.3 * height);
        near.max_by(|a, b| (a[1] - a[0]).total_cmp(&(b[1] - b[0]))).unwrap_or([place, place])
    }
}

/// Returns the ink in a box, without vertical rulings. Without ink, the whole box.
pub(crate) fn find_ink(image: &GrayImage, line_box: &Rect, rulings: &Rulings) -> Ink {
    let whole = || Ink { fragments: vec![[line_box.left, line_box.right]] };
    let clamp = |value: f32, side: usize| (value.max(0.0) as usize).min(side);
    let columns = clamp(line_box.left, image.width())..clamp(line_box.right.ceil(), image.width());
    let at = |share: f32| clamp(line_box.top + share * line_box.height(), image.height());
    let rows = at(SEARCHED[0])..at(SEARCHED[1]);
    if columns.is_empty() || rows.is_empty() {
        return whole();
    }
    let step = (rows.len() / 16).max(1);
    let sampled: Vec<&[u8]> = rows.step_by(step).map(|y| &image.row(y)[columns.clone()]).collect();
    let background = background(&sampled);
    let differences: Vec<u8> =
        (0..columns.len()).map(|x| sampled.iter().map(|row| row[x].abs_diff(background)).max().unwrap_or(0)).collect();
    let largest = differences.iter().copied().max().unwrap_or(0);
    let threshold = ((f32::from(largest) * INK_SHARE) as u8).max(MIN_INK);
    let middle = line_box.center()[1];
    let ruled: Vec<f32> = rulings
        .vertical
        .iter()
        .filter(|ruling| ruling.from <= middle && middle <= ruling.to)
        .map(|ruling| ruling.at)
        .collect();
    let is_ruling = |x: f32| ruled.iter().any(|at| (x - at).abs() <= rulings.tolerance / 2.0 + 1.0);
    let mut fragments: Vec<[f32; 2]> = Vec::new();
    for (offset, _) in differences.iter().enumerate().filter(|(_, difference)| **difference > threshold) {
        let x = (columns.start + offset) as f32;
        if is_ruling(x + 0.5) {
            continue;
        }
        match fragments.last_mut().filter(|last| x - last[1] <= MAX_JOINED * line_box.height()) {
            Some(last) => last[1] = x + 1.0,
            None => fragments.push([x, x + 1.0]),
        }
    }
    if fragments.is_empty() { whole() } else { Ink { fragments } }
}

/// Returns the most frequent gray, in steps of 8.
fn background(rows: &[&[u8]]) -> u8 {
    let mut counts = [0_u32; 32];
    rows.iter().flat_map(|row| row.iter()).for_each(|pixel| counts[usize::from(pixel / 8)] += 1);
    let most = (0..32).max_by_key(|step| counts[*step]).unwrap_or(31);
    (most * 8 + 4) as u8
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole pixels")]
mod tests {
    use super::*;
    use crate::rulings::Ruling;

    #[test]
    fn words_are_fragments_and_rulings_are_not() {
        let mut pixels = vec![255; 200 * 40];
        for (from, to) in [(20, 60), (80, 120), (140, 142), (160, 180)] {
            for y in 10..30 {
                pixels[y * 200 + from..y * 200 + to].fill(40);
            }
        }
        let image = GrayImage::new(200, 40, pixels);
        let vertical = vec![Ruling { at: 141.0, from: 0.0, to: 40.0 }];
        let rulings = Rulings { vertical, tolerance: 5.0, ..Rulings::default() };
        let line_box = Rect { left: 0.0, top: 0.0, right: 200.0, bottom: 40.0 };
        let ink = find_ink(&image, &line_box, &rulings);
        assert_eq!(ink.fragments, [[20.0, 60.0], [80.0, 120.0], [160.0, 180.0]]);
        assert_eq!((ink.extent(), ink.gap_at(141.0, 40.0)), ([20.0, 180.0], [120.0, 160.0]));
        assert_eq!(ink.gap_at(30.0, 20.0), [30.0, 30.0]);
        let blank = Rect { left: 0.0, top: 0.0, right: 10.0, bottom: 40.0 };
        assert_eq!(find_ink(&image, &blank, &rulings).fragments, [[0.0, 10.0]]);
        let outside = Rect { left: 900.0, top: 900.0, right: 950.0, bottom: 940.0 };
        assert_eq!(find_ink(&image, &outside, &rulings).fragments, [[900.0, 950.0]]);
    }
}
