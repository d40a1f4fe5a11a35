//! In which order lines are read: column by column where the page is set in columns, else row by row.

use crate::geometry::{Point, Quad};

/// What a line covers on the page once that is upright and straight.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bounds {
    left: f32,
    right: f32,
    top: f32,
    bottom: f32,
}

impl Bounds {
    fn width(&self) -> f32 {
        self.right - self.left
    }

    fn height(&self) -> f32 {
        self.bottom - self.top
    }

    fn middle(&self) -> f32 {
        f32::midpoint(self.top, self.bottom)
    }
}

/// A side of a gutter holds running text, rather than cells of a table, when it has at least so many lines,
const MIN_COLUMN_LINES: usize = 3;
/// when its lines are at least so many times as long as tall (a price is 3 to 5, eight Chinese characters are 8),
const MIN_COLUMN_ASPECT: f32 = 7.0;
/// and when they fill this share of its width: running text fills 0.8 and more, a table's cells half.
const MIN_COLUMN_FILL: f32 = 0.62;
/// In how many places a gutter is looked for: one hundredth of a page's width is less than a gutter has.
const GUTTER_PLACES: usize = 200;
/// Two lines are in one row when they share this part of the taller one's height.
const ROW_OVERLAP: f32 = 0.4;

/// The order in which lines are read: indices into `lines`, whose text runs in the direction `along` when the page is
/// upright.
pub(crate) fn reading_order(lines: &[Quad], along: Point) -> Vec<usize> {
    let along = straightened(lines, along);
    let down = [-along[1], along[0]];
    let bounds: Vec<Bounds> = lines.iter().map(|line| bounds(line, along, down)).collect();
    order(&bounds, (0..lines.len()).collect())
}

/// The direction that lines of text really have on this page: a scan is seldom laid straight.
fn straightened(lines: &[Quad], along: Point) -> Point {
    let down = [-along[1], along[0]];
    let mut slopes: Vec<(f32, f32)> = lines.iter().map(|line| slope(line, along, down)).collect();
    slopes.retain(|(slope, _)| slope.abs() < 0.5);
    slopes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = slopes.iter().map(|(_, length)| length).sum::<f32>() / 2.0;
    let mut passed = 0.0;
    let median = slopes.iter().find(|(_, length)| {
        passed += length;
        passed >= half
    });
    let slope = median.map_or(0.0, |(slope, _)| *slope);
    let norm = slope.hypot(1.0);
    [(along[0] + slope * down[0]) / norm, (along[1] + slope * down[1]) / norm]
}

/// How steeply a line falls, and its length, which is how well that is known.
fn slope(line: &Quad, along: Point, down: Point) -> (f32, f32) {
    let edge = [line.0[1][0] - line.0[0][0], line.0[1][1] - line.0[0][1]];
    let (run, fall) = (edge[0] * along[0] + edge[1] * along[1], edge[0] * down[0] + edge[1] * down[1]);
    if run > 2.0 * line.breadth() { (fall / run, run) } else { (f32::INFINITY, 0.0) }
}

fn bounds(line: &Quad, along: Point, down: Point) -> Bounds {
    let extent = |unit: Point| {
        let places = line.0.iter().map(|corner| corner[0] * unit[0] + corner[1] * unit[1]);
        places.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), place| (low.min(place), high.max(place)))
    };
    let ((left, right), (top, bottom)) = (extent(along), extent(down));
    // Boxes are grown around their text; without that margin neighboring columns do not seem to touch.
    let margin = ((bottom - top).min(right - left) / 5.0).max(0.0);
    Bounds { left: left + margin, right: right - margin, top: top + margin, bottom: bottom - margin }
}

fn order(all: &[Bounds], lines: Vec<usize>) -> Vec<usize> {
    let Some(gutter) = gutter(all, &lines) else { return rows(all, lines) };
    let (mut crossing, beside): (Vec<usize>, Vec<usize>) =
        lines.into_iter().partition(|&line| all[line].left < gutter && gutter < all[line].right);
    let (mut left, mut right): (Vec<usize>, Vec<usize>) =
        beside.into_iter().partition(|&line| all[line].right <= gutter);
    crossing.sort_by(|&a, &b| all[a].middle().total_cmp(&all[b].middle()));
    let mut ordered = Vec::new();
    // Lines across the gutter, headings say, divide the columns: what stands above one is read before it.
    for line in crossing {
        let above = |&other: &usize| all[other].middle() < all[line].middle();
        for column in [&mut left, &mut right] {
            let (before, after) = column.iter().copied().partition(above);
            *column = after;
            ordered.extend(order(all, before));
        }
        ordered.push(line);
    }
    ordered.extend(order(all, left));
    ordered.extend(order(all, right));
    ordered
}

/// Where a blank gutter divides running text from running text; of several such places the middle of those with the
/// most lines beside it.
fn gutter(all: &[Bounds], lines: &[usize]) -> Option<f32> {
    if lines.len() < 2 * MIN_COLUMN_LINES {
        return None;
    }
    let left = lines.iter().map(|&line| all[line].left).fold(f32::INFINITY, f32::min);
    let right = lines.iter().map(|&line| all[line].right).fold(f32::NEG_INFINITY, f32::max);
    let place = |index: usize| left + (right - left) * index as f32 / GUTTER_PLACES as f32;
    let beside = |&x: &f32| lines.iter().filter(|&&line| all[line].right <= x || x <= all[line].left).count();
    let divides = |&x: &f32| {
        let of_side = |inside: &dyn Fn(&Bounds) -> bool| -> Vec<Bounds> {
            lines.iter().map(|&line| all[line]).filter(|line| inside(line)).collect()
        };
        is_column(&of_side(&|line| line.right <= x), left, x) && is_column(&of_side(&|line| x <= line.left), x, right)
    };
    let places: Vec<(f32, usize)> = (1..GUTTER_PLACES).map(place).filter(divides).map(|x| (x, beside(&x))).collect();
    let most = places.iter().map(|(_, beside)| *beside).max()?;
    let best: Vec<f32> = places.iter().filter(|(_, beside)| *beside == most).map(|(x, _)| *x).collect();
    best.get(best.len() / 2).copied()
}

/// Whether these lines are running text that fills the page from `left` to `right`.
fn is_column(lines: &[Bounds], left: f32, right: f32) -> bool {
    if lines.len() < MIN_COLUMN_LINES {
        return false;
    }
    let mut aspects: Vec<f32> = lines.iter().map(|line| line.width() / line.height().max(1.0)).collect();
    aspects.sort_by(f32::total_cmp);
    let rows = group_rows(lines, (0..lines.len()).collect()).len();
    let fill = lines.iter().map(Bounds::width).sum::<f32>() / ((right - left).max(1.0) * rows as f32);
    aspects[aspects.len() / 2] >= MIN_COLUMN_ASPECT && fill >= MIN_COLUMN_FILL
}

fn rows(all: &[Bounds], lines: Vec<usize>) -> Vec<usize> {
    let mut rows = group_rows(all, lines);
    for row in &mut rows {
        row.sort_by(|&a, &b| all[a].left.total_cmp(&all[b].left));
    }
    rows.concat()
}

/// Lines that stand beside each other, from the top down.
fn group_rows(all: &[Bounds], mut lines: Vec<usize>) -> Vec<Vec<usize>> {
    lines.sort_by(|&a, &b| all[a].middle().total_cmp(&all[b].middle()));
    let mut rows: Vec<Vec<usize>> = Vec::new();
    for line in lines {
        let beside = |row: &&mut Vec<usize>| row.last().is_some_and(|&last| in_one_row(&all[last], &all[line]));
        match rows.last_mut().filter(beside) {
            Some(row) => row.push(line),
            None => rows.push(vec![line]),
        }
    }
    rows
}

fn in_one_row(a: &Bounds, b: &Bounds) -> bool {
    let shared = a.bottom.min(b.bottom) - a.top.max(b.top);
    shared > ROW_OVERLAP * a.height().max(b.height())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RIGHT: Point = [1.0, 0.0];

    fn line(left: f32, top: f32, width: f32, height: f32) -> Quad {
        Quad([[left, top], [left + width, top], [left + width, top + height], [left, top + height]])
    }

    /// `count` lines of one column, of which the last is short.
    fn column(left: f32, top: f32, width: f32, count: usize) -> Vec<Quad> {
        let width_of = |index| if index + 1 == count { width / 3.0 } else { width };
        (0..count).map(|index| line(left, top + 30.0 * index as f32, width_of(index), 24.0)).collect()
    }

    fn in_order(lines: &[Quad]) -> bool {
        reading_order(lines, RIGHT) == (0..lines.len()).collect::<Vec<_>>()
    }

    #[test]
    fn two_columns_under_a_title_are_read_one_after_the_other() {
        let mut lines = vec![line(50.0, 20.0, 900.0, 60.0)];
        lines.extend(column(50.0, 120.0, 430.0, 20));
        lines.extend(column(520.0, 120.0, 430.0, 19));
        assert!(in_order(&lines));
    }

    #[test]
    fn three_columns_are_read_one_after_the_other() {
        let lines: Vec<Quad> =
            [50.0, 370.0, 690.0].into_iter().flat_map(|left| column(left, 100.0, 290.0, 12)).collect();
        assert!(in_order(&lines));
    }

    #[test]
    fn a_heading_in_the_middle_divides_the_columns() {
        let mut lines = column(50.0, 0.0, 430.0, 6);
        lines.extend(column(520.0, 0.0, 430.0, 6));
        lines.push(line(50.0, 200.0, 900.0, 30.0));
        lines.extend(column(50.0, 260.0, 430.0, 6));
        lines.extend(column(520.0, 260.0, 430.0, 6));
        assert!(in_order(&lines));
    }

    #[test]
    fn a_table_is_read_row_by_row() {
        let cells = [(50.0, 30.0), (120.0, 160.0), (400.0, 150.0), (620.0, 40.0), (700.0, 100.0), (850.0, 110.0)];
        let row =
            |index: usize| cells.map(|(left, width)| line(left, 40.0 * index as f32 + (left * 0.01), width, 24.0));
        assert!(in_order(&(0..15).flat_map(row).collect::<Vec<_>>()));
    }

    #[test]
    fn one_column_with_ragged_lines_has_no_gutter() {
        let widths = [900.0, 300.0, 880.0, 890.0, 250.0, 910.0, 400.0, 900.0];
        let lines: Vec<Quad> =
            widths.iter().enumerate().map(|(index, &width)| line(50.0, 30.0 * index as f32, width, 24.0)).collect();
        assert!(in_order(&lines));
    }

    #[test]
    fn a_slanted_row_stays_a_row() {
        let slanted = |quad: Quad| Quad(quad.0.map(|[x, y]| [x - 0.05 * y, y + 0.05 * x]));
        let row = |top: f32| [0.0, 300.0, 600.0, 900.0].map(|left| line(left, top, 120.0, 24.0));
        let lines: Vec<Quad> = (0..8).flat_map(|index| row(36.0 * index as f32)).map(slanted).collect();
        assert!(in_order(&lines));
    }

    #[test]
    fn a_page_that_lies_on_its_side_is_read_in_the_direction_of_its_text() {
        // Text runs upward: the first line is the leftmost one, and starts at its bottom.
        let upward = |left: f32, bottom: f32| {
            Quad([[left, bottom], [left, bottom - 200.0], [left + 24.0, bottom - 200.0], [left + 24.0, bottom]])
        };
        let lines = [upward(0.0, 900.0), upward(0.0, 600.0), upward(40.0, 900.0), upward(40.0, 600.0)];
        assert_eq!(reading_order(&lines, [0.0, -1.0]), [0, 1, 2, 3]);
    }

    proptest! {
        #[test]
        fn every_line_is_read_exactly_once(
            places in prop::collection::vec((0_u16..1000, 0_u16..1000, 0_u16..600, 0_u16..80), 0..120)
        ) {
            let lines: Vec<Quad> = places
                .into_iter()
                .map(|(left, top, width, height)| line(left.into(), top.into(), width.into(), height.into()))
                .collect();
            let mut order = reading_order(&lines, RIGHT);
            order.sort_unstable();
            prop_assert_eq!(order, (0..lines.len()).collect::<Vec<_>>());
        }
    }
}
