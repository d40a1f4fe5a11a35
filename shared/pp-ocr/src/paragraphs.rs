//! Finds paragraphs: consecutive lines that fill their column.

use crate::geometry::Quad;

/// Bounding box of a line on the deskewed page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) left: f32,
    pub(crate) right: f32,
    pub(crate) top: f32,
    pub(crate) bottom: f32,
}

/// A paragraph, unlike the cells of a table column, has at least this many lines,
const MIN_LINES: usize = 3;
/// of which half have at least this aspect ratio (a price has 3 to 5, eight Chinese characters have 8),
const MIN_ASPECT: f32 = 7.0;
/// and fills this share of its width: running text fills 0.8 and more, table cells half.
const MIN_FILL: f32 = 0.62;
/// Maximum gap between lines of a paragraph, in line heights without the margin of boxes: one and a half times normal
/// leading, but less than the distance of table rows.
const MAX_GAP: f32 = 1.6;
/// Maximum overlap of boxes of consecutive lines, as a share of their height.
const MAX_OVERLAP: f32 = 0.5;
/// Lines of a paragraph have the same height within this factor,
const SAME_HEIGHT: f32 = 1.4;
/// the narrower one shares this much of its width with the other one,
const SAME_COLUMN: f32 = 0.5;
/// and their left edges differ by at most this many heights, which allows an indent.
const SAME_EDGE: f32 = 3.0;
/// Two lines are in one row if they share this much of the taller one's height,
const ROW_OVERLAP: f32 = 0.4;
/// and aligned like table cells if their centers differ by at most this much of the lower one's height.
const ALIGNED: f32 = 0.25;
/// Lines are table cells if this share of them has another cell in the same row,
const MAX_BESIDE_ONE: f32 = 0.7;
/// or if this share has two.
const MAX_BESIDE_TWO: f32 = 0.35;

impl Bounds {
    /// Returns the bounding box of a line whose text runs to the right.
    pub(crate) fn of(line: &Quad) -> Self {
        let extent = |axis: usize| {
            let places = line.0.iter().map(|corner| corner[axis]);
            places.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), place| (low.min(place), high.max(place)))
        };
        let ((left, right), (top, bottom)) = (extent(0), extent(1));
        // Boxes are expanded around their text. Without removing that margin, adjacent columns would touch.
        let margin = ((bottom - top).min(right - left) / 5.0).max(0.0);
        Self { left: left + margin, right: right - margin, top: top + margin, bottom: bottom - margin }
    }

    pub(crate) fn width(&self) -> f32 {
        self.right - self.left
    }

    pub(crate) fn height(&self) -> f32 {
        self.bottom - self.top
    }

    /// Returns the bounding box of both.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            right: self.right.max(other.right),
            top: self.top.min(other.top),
            bottom: self.bottom.max(other.bottom),
        }
    }

    pub(crate) fn middle(&self) -> f32 {
        f32::midpoint(self.top, self.bottom)
    }

    fn in_one_row(&self, other: &Self) -> bool {
        let shared = self.bottom.min(other.bottom) - self.top.max(other.top);
        shared > ROW_OVERLAP * self.height().max(other.height())
    }

    fn is_aligned(&self, other: &Self) -> bool {
        (self.middle() - other.middle()).abs() < ALIGNED * self.height().min(other.height())
    }

    fn shared_width(&self, other: &Self) -> f32 {
        self.right.min(other.right) - self.left.max(other.left)
    }

    /// Returns whether no other line can be between this line and `below`.
    fn is_next_above(&self, below: &Self) -> bool {
        let height = self.height().min(below.height());
        let gap = below.top - self.bottom;
        self.middle() < below.middle()
            && gap <= MAX_GAP * height
            && gap >= -MAX_OVERLAP * height
            && self.shared_width(below) > 0.0
    }

    fn continues_in(&self, below: &Self) -> bool {
        let low = self.height().min(below.height());
        let high = self.height().max(below.height());
        high < SAME_HEIGHT * low
            && self.shared_width(below) > SAME_COLUMN * self.width().min(below.width())
            && (self.left - below.left).abs() < SAME_EDGE * low
    }
}

/// Returns the bounding box of several lines.
pub(crate) fn union(all: &[Bounds], lines: &[usize]) -> Bounds {
    lines.iter().map(|&line| all[line]).reduce(Bounds::and).unwrap_or(Bounds {
        left: 0.0,
        right: 0.0,
        top: 0.0,
        bottom: 0.0,
    })
}

/// Groups lines into rows, from top to bottom.
pub(crate) fn group_rows(all: &[Bounds], mut lines: Vec<usize>) -> Vec<Vec<usize>> {
    lines.sort_by(|&a, &b| all[a].middle().total_cmp(&all[b].middle()));
    let mut rows: Vec<Vec<usize>> = Vec::new();
    for line in lines {
        let beside = |row: &&mut Vec<usize>| row.last().is_some_and(|&last| all[last].in_one_row(&all[line]));
        match rows.last_mut().filter(beside) {
            Some(row) => row.push(line),
            None => rows.push(vec![line]),
        }
    }
    rows
}

/// Returns the paragraphs, each as its lines from top to bottom.
pub(crate) fn paragraphs(all: &[Bounds]) -> Vec<Vec<usize>> {
    let mut from_top: Vec<usize> = (0..all.len()).collect();
    from_top.sort_by(|&a, &b| all[a].top.total_cmp(&all[b].top));
    let mut running: Vec<Vec<usize>> =
        chains(all, &from_top).into_iter().filter(|lines| is_running(all, lines)).collect();
    // An apparent paragraph with cells beside it is a table column. Repeat, because its lines then count as cells
    // beside the next one.
    loop {
        let mut cell = vec![true; all.len()];
        running.iter().flatten().for_each(|&line| cell[line] = false);
        let before = running.len();
        running.retain(|lines| !is_table_column(all, lines, &cell, &from_top));
        if running.len() == before {
            return running;
        }
    }
}

/// Returns chains of lines, each of which is the only one close below the previous line, and vice versa.
fn chains(all: &[Bounds], from_top: &[usize]) -> Vec<Vec<usize>> {
    let mut below: Vec<(usize, Option<usize>)> = vec![(0, None); all.len()];
    let mut above = vec![0_usize; all.len()];
    let tallest = all.iter().map(Bounds::height).fold(0.0, f32::max);
    for (place, &upper) in from_top.iter().enumerate() {
        let last_top = all[upper].bottom + MAX_GAP * tallest;
        let near = from_top[place + 1..].iter().take_while(|&&lower| all[lower].top <= last_top);
        for &lower in near.filter(|&&lower| all[upper].is_next_above(&all[lower])) {
            below[upper] = (below[upper].0 + 1, Some(lower));
            above[lower] += 1;
        }
    }
    let next = |line: usize| match below[line] {
        (1, Some(lower)) if above[lower] == 1 && all[line].continues_in(&all[lower]) => Some(lower),
        _ => None,
    };
    let mut continued = vec![false; all.len()];
    (0..all.len()).filter_map(next).for_each(|line| continued[line] = true);
    let starts = from_top.iter().copied().filter(|&line| !continued[line]);
    starts.map(|start| std::iter::successors(Some(start), |&line| next(line)).collect()).collect()
}

fn is_running(all: &[Bounds], lines: &[usize]) -> bool {
    let mut aspects: Vec<f32> = lines.iter().map(|&line| all[line].width() / all[line].height().max(1.0)).collect();
    aspects.sort_by(f32::total_cmp);
    let filled = lines.iter().map(|&line| all[line].width()).sum::<f32>();
    lines.len() >= MIN_LINES
        && aspects[aspects.len() / 2] >= MIN_ASPECT
        && filled >= MIN_FILL * union(all, lines).width() * lines.len() as f32
}

fn is_table_column(all: &[Bounds], lines: &[usize], cell: &[bool], from_top: &[usize]) -> bool {
    let mut beside_one = 0;
    let mut beside_two = 0;
    for &line in lines {
        let cells = from_top.iter().filter(|&&other| cell[other] && all[other].is_aligned(&all[line])).take(2).count();
        beside_one += usize::from(cells >= 1);
        beside_two += usize::from(cells >= 2);
    }
    let share = |count: usize| count as f32 / lines.len() as f32;
    share(beside_one) >= MAX_BESIDE_ONE || share(beside_two) >= MAX_BESIDE_TWO
}
