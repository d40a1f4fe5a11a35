//! Corrects rotation and perspective of the positions of text lines.

use crate::geometry::{Point, Quad, subtract};

/// Minimum number of samples to estimate a distortion.
const MIN_SAMPLES: usize = 6;
/// Slopes that differ less are equal: the edge of a box is accurate to one or two pixels.
const SAME_SLOPE: f32 = 0.02;
/// A distortion is accepted if this share of the samples agrees with it,
const MIN_AGREEMENT: f32 = 0.6;
/// and if that share exceeds the share of samples without distortion by this much.
const MIN_GAIN: f32 = 0.1;
/// A change of slope is estimated if the centers of the two halves of the samples are this share of the page apart.
const MIN_SPREAD: f32 = 0.2;
/// Distance, in line heights, over which left edges of lines are compared: over less, one pixel matters too much; over
/// more, the other line may belong to another column.
const EDGE_DISTANCE: std::ops::Range<f32> = 4.0..15.0;
/// Left edges with a larger horizontal offset per distance do not belong to one column.
const STEEPEST_EDGE: f32 = 0.3;

/// Returns the lines in a deskewed frame in which text runs to the right. `along` is the direction of text on the page.
///
/// In a photograph, parallel lines converge to a vanishing point. Converging lines are a pencil: at position c the
/// slope is s₀ + s₁c, so that at distance u along a line v = c + (s₀ + s₁c)u. This is estimated for text lines, and
/// then for the left edges of columns.
pub(crate) fn deskew(lines: &[Quad], along: Point) -> Vec<Quad> {
    let along = text_direction(lines, along);
    let down = [-along[1], along[0]];
    let count = (4 * lines.len()).max(1) as f32;
    let corners = || lines.iter().flat_map(|line| line.0);
    let center = corners().fold([0.0, 0.0], |sum, [x, y]| [sum[0] + x / count, sum[1] + y / count]);
    let framed = |point: Point| {
        let offset = subtract(point, center);
        [offset[0] * along[0] + offset[1] * along[1], offset[0] * down[0] + offset[1] * down[1]]
    };
    let mut lines: Vec<Quad> = lines.iter().map(|line| Quad(line.0.map(framed))).collect();
    if let Some(rows) = Pencil::fit(row_samples(&lines), extent(&lines, 1)) {
        for line in &mut lines {
            line.0 = line.0.map(|[u, v]| [u, rows.place(v, u)]);
        }
    }
    if let Some(edges) = Pencil::fit(edge_samples(&lines), extent(&lines, 0)) {
        for line in &mut lines {
            line.0 = line.0.map(|[u, v]| [edges.place(u, v), v]);
        }
    }
    lines
}

/// Returns the actual direction of text: most scans are slightly rotated.
fn text_direction(lines: &[Quad], along: Point) -> Point {
    let down = [-along[1], along[0]];
    let mut slopes: Vec<(f32, f32)> = lines.iter().map(|line| slope(line, along, down, 2.0)).collect();
    slopes.retain(|(slope, _)| slope.abs() < 0.5);
    let slope = median(slopes);
    let norm = slope.hypot(1.0);
    [(along[0] + slope * down[0]) / norm, (along[1] + slope * down[1]) / norm]
}

/// Returns the slope of a line and, as its weight, its length. Lines shorter than `directed` times their height have
/// weight 0.
fn slope(line: &Quad, along: Point, down: Point, directed: f32) -> (f32, f32) {
    let edge = subtract(line.0[1], line.0[0]);
    let run = edge[0] * along[0] + edge[1] * along[1];
    let fall = edge[0] * down[0] + edge[1] * down[1];
    if run > directed * line.breadth() { (fall / run, run) } else { (f32::INFINITY, 0.0) }
}

/// Returns the weighted median of (value, weight) pairs; 0 if there are none.
fn median(mut values: Vec<(f32, f32)>) -> f32 {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = values.iter().map(|(_, weight)| weight).sum::<f32>() / 2.0;
    let mut passed = 0.0;
    let median = values.iter().find(|(_, weight)| {
        passed += weight;
        passed >= half
    });
    median.map_or(0.0, |(value, _)| *value)
}

/// A measured slope at one position of the page, with its weight.
#[derive(Debug, Clone, Copy)]
struct SlopeSample {
    place: f32,
    slope: f32,
    weight: f32,
}

fn row_samples(lines: &[Quad]) -> Vec<SlopeSample> {
    let sample = |line: &Quad| {
        let (slope, weight) = slope(line, [1.0, 0.0], [0.0, 1.0], 3.0);
        SlopeSample { place: f32::midpoint(line.0[0][1], line.0[2][1]), slope, weight }
    };
    lines.iter().map(sample).filter(|sample| sample.weight > 0.0).collect()
}

/// Returns the horizontal shift of left edges between lines that may belong to one column.
fn edge_samples(lines: &[Quad]) -> Vec<SlopeSample> {
    let start = |line: &Quad| {
        let [start, _, _, below] = line.0;
        [f32::midpoint(start[0], below[0]), f32::midpoint(start[1], below[1])]
    };
    let mut starts: Vec<(Point, f32)> = lines.iter().map(|line| (start(line), line.breadth())).collect();
    starts.sort_by(|a, b| a.0[1].total_cmp(&b.0[1]));
    let mut samples = Vec::new();
    for (index, (upper, height)) in starts.iter().enumerate() {
        let reach = starts[index..].iter().map(|(lower, _)| subtract(*lower, *upper));
        let below = reach.take_while(|offset| offset[1] < EDGE_DISTANCE.end * height);
        let column =
            below.filter(|[across, down]| *down > EDGE_DISTANCE.start * height && across.abs() < STEEPEST_EDGE * down);
        samples.extend(column.map(|[across, down]| SlopeSample { place: upper[0], slope: across / down, weight: 1.0 }));
    }
    samples
}

fn extent(lines: &[Quad], axis: usize) -> f32 {
    let places = lines.iter().flat_map(|line| line.0).map(|point| point[axis]);
    let (low, high) = places.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), at| (low.min(at), high.max(at)));
    (high - low).max(0.0)
}

/// A pencil of lines, whose slope is a linear function of the position.
#[derive(Debug, Clone, Copy)]
struct Pencil {
    slope: f32,
    change: f32,
}

impl Pencil {
    /// Fits a pencil to the samples. Returns `None` if they do not agree on a distortion.
    fn fit(mut samples: Vec<SlopeSample>, extent: f32) -> Option<Self> {
        if samples.len() < MIN_SAMPLES {
            return None;
        }
        samples.sort_by(|a, b| a.place.total_cmp(&b.place));
        let (first, second) = samples.split_at(samples.len() / 2);
        let weight = |of: &[SlopeSample]| of.iter().map(|sample| sample.weight).sum::<f32>();
        let place = |of: &[SlopeSample]| of.iter().map(|sample| sample.place * sample.weight).sum::<f32>() / weight(of);
        let slope = |of: &[SlopeSample]| median(of.iter().map(|sample| (sample.slope, sample.weight)).collect());
        let apart = place(second) - place(first);
        let found = if apart < MIN_SPREAD * extent {
            Self { slope: slope(&samples), change: 0.0 }
        } else {
            let change = (slope(second) - slope(first)) / apart;
            Self { slope: slope(first) - change * place(first), change }
        };
        let agreeing = |pencil: Self| {
            let near =
                |sample: &&SlopeSample| (sample.slope - pencil.slope - pencil.change * sample.place).abs() < SAME_SLOPE;
            samples.iter().filter(near).map(|sample| sample.weight).sum::<f32>() / weight(&samples)
        };
        let agreement = agreeing(found);
        let without = agreeing(Self { slope: 0.0, change: 0.0 });
        (agreement >= MIN_AGREEMENT && agreement > without + MIN_GAIN).then_some(found)
    }

    /// Returns where the line through `at`, at distance `across`, starts. The clamp excludes positions beyond the
    /// vanishing point.
    fn place(self, at: f32, across: f32) -> f32 {
        (at - self.slope * across) / (1.0 + self.change * across).max(0.3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two columns of twelve lines.
    fn columns() -> Vec<Quad> {
        let line = |left: f32, top: f32| {
            Quad([[left, top], [left + 400.0, top], [left + 400.0, top + 20.0], [left, top + 20.0]])
        };
        [50.0, 550.0]
            .into_iter()
            .flat_map(|left| (0..12).map(move |row| line(left, 50.0 + 60.0 * row as f32)))
            .collect()
    }

    fn spread(values: impl Iterator<Item = f32>) -> f32 {
        let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        high - low
    }

    #[test]
    fn perspective_is_corrected() {
        let photographed = |[x, y]: Point| {
            let depth = 1.0 + 0.000_2 * x + 0.000_25 * y;
            [(x + 0.05 * y) / depth, (y - 0.03 * x) / depth]
        };
        let lines: Vec<Quad> = columns().iter().map(|line| Quad(line.0.map(photographed))).collect();
        let leveled = deskew(&lines, [1.0, 0.0]);
        for row in 0..12 {
            let tops =
                [leveled[row].0[0][1], leveled[row].0[1][1], leveled[row + 12].0[0][1], leveled[row + 12].0[1][1]];
            assert!(spread(tops.into_iter()) < 8.0, "row {row}: {tops:?}");
        }
        for column in leveled.chunks(12) {
            assert!(spread(column.iter().map(|line| line.0[0][0])) < 12.0);
        }
    }

    #[test]
    fn a_straight_page_is_only_centered() {
        let lines = columns();
        let leveled = deskew(&lines, [1.0, 0.0]);
        for (before, after) in lines.iter().zip(&leveled) {
            assert!((before.length() - after.length()).abs() < 0.01);
            assert!((before.0[0][0] - lines[0].0[0][0] - after.0[0][0] + leveled[0].0[0][0]).abs() < 0.01);
        }
        assert_eq!(super::deskew(&[], [1.0, 0.0]), []);
    }

    #[test]
    fn a_uniform_slope_is_removed() {
        let slanted: Vec<Quad> =
            columns().iter().map(|line| Quad(line.0.map(|[x, y]| [x - 0.1 * y, y + 0.1 * x]))).collect();
        let leveled = deskew(&slanted, [1.0, 0.0]);
        assert!(leveled.iter().all(|line| (line.0[1][1] - line.0[0][1]).abs() < 0.1));
    }
}
