//! Compares what was detected on a page with what was read, and reports what is missing.

use std::{collections::BTreeSet, ops::Range};

use ndarray::{Array3, s};
use quire_document::PageImage;
use quire_tasks::{Polygon, Script, Warning, WarningKind};

use crate::{
    crop_rect::CropRect,
    ctc::LineReading,
    geometry::{Point, Quad},
    line_image::{LINE_IMAGE_HEIGHT, draw_line},
    script::Unreadable,
};

/// Lines with a lower confidence are noise or stains, or text that could not be read.
const MIN_CONFIDENCE: f32 = 0.5;
/// Minimum ratio of length to height of a line whose script is judged: the classifier is not trained on short numbers.
/// Of 529 such lines on clean Latin and Chinese pages it takes none for another script.
const SCRIPT_ASPECT: f32 = 4.0;
/// Minimum probability that a line cannot be read, without other evidence.
const CERTAINLY_UNREADABLE: f32 = 0.95;
/// The same, if another line of the page certainly cannot be read for the same reason.
const PROBABLY_UNREADABLE: f32 = 0.5;
/// Minimum share of the judged lines for scripts that share most letters with one that can be read.
const MIN_SIMILAR_SHARE: f32 = 0.3;
/// Maximum height of a line of small print in pixels of the image, with the margins of its box: letters of 6 pixels.
const SMALL_LINE: f32 = 15.0;
/// Minimum confidence of small print that is legible. Print of 6 pixels reaches 0.94, and of 7 pixels 0.98.
const SMALL_LINE_CONFIDENCE: f32 = 0.95;
/// Minimum distance between characters, in heights of the line, that may hide text. Words are 0.3 apart, and characters
/// that are spaced out 1 to 2.
const MIN_GAP: f32 = 2.5;
/// Estimated characters per height of a line.
const CHARACTERS_PER_HEIGHT: f32 = 1.5;
/// Minimum contrast of ink to the background, where black and white differ by 2.
const MIN_CONTRAST: f32 = 0.5;
/// Shares of a column of a line image that are ink where it crosses text: more than a rule or a dot, less than a bar.
const INK_SHARE: std::ops::RangeInclusive<f32> = 0.1..=0.8;
/// Minimum share of such columns in text.
const MIN_INK_COLUMNS: f32 = 0.35;
/// Lines that are closer than this, in heights of a line, belong to one region.
const REGION_GAP: f32 = 1.5;
/// Maximum number of regions that are reported one by one.
const MAX_REGIONS: usize = 10;

/// A line that was detected.
#[derive(Debug)]
pub(crate) struct DetectedLine {
    pub(crate) quad: Quad,
    pub(crate) reading: LineReading,
    /// Whether a warning says that the line cannot be read.
    is_reported: bool,
}

impl DetectedLine {
    pub(crate) const fn new(quad: Quad, reading: LineReading) -> Self {
        Self { quad, reading, is_reported: false }
    }

    /// Returns whether the line belongs to the page's text.
    pub(crate) fn is_legible(&self) -> bool {
        self.reading.confidence >= MIN_CONFIDENCE && !self.reading.text.trim().is_empty()
    }

    /// Returns whether the line is too small to be read.
    fn is_too_small(&self) -> bool {
        self.is_long() && self.quad.breadth() <= SMALL_LINE && self.reading.confidence < SMALL_LINE_CONFIDENCE
    }

    /// Returns why the line cannot be read, and the probability of it, if it is probable.
    fn unreadable(&self) -> Option<(Unreadable, f32)> {
        let (cause, probability) = self.reading.scripts.unreadable()?;
        let is_judged = self.is_long() && !self.is_too_small() && probability >= PROBABLY_UNREADABLE;
        is_judged.then_some((cause, probability))
    }

    /// Returns why the line certainly cannot be read.
    fn certainly_unreadable(&self) -> Option<Unreadable> {
        self.unreadable().filter(|(_, probability)| *probability >= CERTAINLY_UNREADABLE).map(|(cause, _)| cause)
    }

    fn is_long(&self) -> bool {
        self.quad.length() >= SCRIPT_ASPECT * self.quad.breadth()
    }

    /// Returns the parts of the line, as shares of its length, in which no character was read.
    fn gaps(&self) -> Vec<Range<f32>> {
        if !self.is_legible() {
            return vec![0.0..1.0];
        }
        let columns = self.reading.columns.max(1) as f32;
        let places = self.reading.places.iter().map(|place| *place as f32 / columns);
        let ends: Vec<f32> = std::iter::once(0.0).chain(places).chain([1.0]).collect();
        let heights = self.quad.length() / self.quad.breadth().max(1.0);
        let gaps = ends.windows(2).filter(|pair| (pair[1] - pair[0]) * heights >= MIN_GAP);
        gaps.map(|pair| pair[0]..pair[1]).collect()
    }
}

/// Lowers the confidence of lines in scripts that the recognizer cannot read, and returns the warnings of a page. Their
/// polygons are in pixels of the image.
pub(crate) fn check_coverage(page: &PageImage, lines: &mut [DetectedLine], illegible: &[CropRect]) -> Vec<Warning> {
    let mut warnings = unreadable_lines(lines);
    warnings.extend(small_print(lines, illegible));
    let unread: Vec<Quad> = lines
        .iter()
        .flat_map(|line| unread_parts(page, line).into_iter().filter(|part| !is_read_in_another(part, line, lines)))
        .collect();
    for region in regions(&unread) {
        let heights: f32 = region.iter().map(|part| part.length() / part.breadth().max(1.0)).sum();
        let characters = (heights * CHARACTERS_PER_HEIGHT).ceil() as u32;
        let kind = WarningKind::UnreadText { lines: region.len() as u32, characters };
        warnings.push(Warning { kind, polygon: Some(bounds(&region)) });
    }
    warnings
}

fn unreadable_lines(lines: &mut [DetectedLine]) -> Vec<Warning> {
    let long = lines.iter().filter(|line| line.is_long()).count() as f32;
    let causes: Vec<Unreadable> = lines.iter().filter_map(DetectedLine::certainly_unreadable).collect();
    let mut warnings = Vec::new();
    for cause in causes.iter().copied().collect::<BTreeSet<_>>() {
        let share = causes.iter().filter(|other| **other == cause).count() as f32 / long;
        if is_similar_to_readable(cause) && share < MIN_SIMILAR_SHARE {
            continue;
        }
        let mut quads = Vec::new();
        for line in lines.iter_mut() {
            if let Some((_, probability)) = line.unreadable().filter(|(other, _)| *other == cause) {
                quads.push(line.quad);
                line.is_reported = true;
                let lowered = line.reading.log_likelihood + (1.0 - probability).max(1e-3).ln();
                line.reading.set_log_likelihood(lowered);
            }
        }
        for region in regions(&quads) {
            let lines = region.len() as u32;
            let kind = match cause {
                Unreadable::Script(script) => WarningKind::UnreadableScript { script, lines },
                Unreadable::Mirrored => WarningKind::Mirrored { lines },
            };
            warnings.push(Warning { kind, polygon: Some(bounds(&region)) });
        }
    }
    warnings
}

/// Returns whether single lines in a readable script may be taken for this one, because they share most letters.
const fn is_similar_to_readable(cause: Unreadable) -> bool {
    matches!(cause, Unreadable::Script(Script::Vietnamese | Script::Greek) | Unreadable::Mirrored)
}

fn small_print(lines: &[DetectedLine], illegible: &[CropRect]) -> Vec<Warning> {
    let has_no_line = |part: &&CropRect| !lines.iter().any(|line| part.contains(line.quad.center()));
    let blurred = illegible.iter().filter(has_no_line).map(CropRect::quad);
    let small: Vec<Quad> =
        lines.iter().filter(|line| line.is_too_small()).map(|line| line.quad).chain(blurred).collect();
    let warning = |region: Vec<Quad>| Warning { kind: WarningKind::TooSmall, polygon: Some(bounds(&region)) };
    regions(&small).into_iter().map(warning).collect()
}

/// Returns the parts of a line that look like print and were not read.
fn unread_parts(page: &PageImage, line: &DetectedLine) -> Vec<Quad> {
    if line.is_reported || line.is_too_small() {
        return Vec::new();
    }
    let parts = line.gaps().into_iter().map(|gap| line.quad.section(gap.start, gap.end));
    parts.filter(|part| is_print(page, part)).collect()
}

/// Returns whether a part of a line, e.g. the rest of one that was split, is within another line that was read there.
fn is_read_in_another(part: &Quad, line: &DetectedLine, lines: &[DetectedLine]) -> bool {
    let is_read = |other: &DetectedLine| {
        let at = other.quad.share_along(part.center());
        !std::ptr::eq(other, line) && other.is_legible() && !other.gaps().iter().any(|gap| gap.contains(&at))
    };
    let contains = |other: &DetectedLine| part.0.iter().all(|corner| other.quad.contains_nearly(*corner));
    lines.iter().any(|other| contains(other) && is_read(other))
}

/// Returns whether the ink in a part of a line looks like print: neither blank, nor a rule, dots or a bar.
fn is_print(page: &PageImage, part: &Quad) -> bool {
    let width = (LINE_IMAGE_HEIGHT as f32 * part.length() / part.breadth().max(1.0)).round() as usize;
    let mut image = Array3::zeros((PageImage::CHANNELS, LINE_IMAGE_HEIGHT, width.clamp(LINE_IMAGE_HEIGHT / 2, 4096)));
    draw_line(page, part, image.view_mut());
    let green = image.slice(s![1, .., ..]);
    let mut values: Vec<f32> = green.iter().copied().collect();
    let background = *values.select_nth_unstable_by(green.len() / 2, f32::total_cmp).1;
    let is_text = |column: ndarray::ArrayView1<'_, f32>| {
        let ink = column.iter().filter(|value| (**value - background).abs() >= MIN_CONTRAST).count();
        INK_SHARE.contains(&(ink as f32 / column.len() as f32))
    };
    let text = green.columns().into_iter().filter(|column| is_text(*column)).count();
    text as f32 >= MIN_INK_COLUMNS * green.ncols() as f32
}

/// Groups parts that are close to each other. Beyond the limit, all of them are one region.
fn regions(parts: &[Quad]) -> Vec<Vec<Quad>> {
    let mut regions: Vec<Vec<Quad>> = Vec::new();
    for part in parts {
        let (near, mut others): (Vec<_>, Vec<_>) =
            regions.into_iter().partition(|region| region.iter().any(|other| is_near(part, other)));
        others.push(near.into_iter().flatten().chain([*part]).collect());
        regions = others;
    }
    if regions.len() > MAX_REGIONS { vec![regions.into_iter().flatten().collect()] } else { regions }
}

fn is_near(a: &Quad, b: &Quad) -> bool {
    let margin = REGION_GAP * a.breadth().max(b.breadth());
    let ([left, top], [right, bottom]) = extent(&[*a]);
    let ([other_left, other_top], [other_right, other_bottom]) = extent(&[*b]);
    left - margin < other_right
        && other_left - margin < right
        && top - margin < other_bottom
        && other_top - margin < bottom
}

fn extent(quads: &[Quad]) -> (Point, Point) {
    let corners = || quads.iter().flat_map(|quad| quad.0);
    let low = |axis: usize| corners().map(|corner| corner[axis]).fold(f32::INFINITY, f32::min);
    let high = |axis: usize| corners().map(|corner| corner[axis]).fold(f32::NEG_INFINITY, f32::max);
    ([low(0), low(1)], [high(0), high(1)])
}

fn bounds(quads: &[Quad]) -> Polygon {
    let ([left, top], [right, bottom]) = extent(quads);
    [[left, top], [right, top], [right, bottom], [left, bottom]]
}

#[cfg(test)]
mod tests;
