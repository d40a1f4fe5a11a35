//! The lines of a page in the order in which a reader sees them: boxes beside each other, and groups above each other.

use std::collections::{HashMap, HashSet};

use quire_tasks::Polygon;

use crate::view::{BARRIER, CELL, ROW, SOFT_BREAK, STACK, View, is_group};

/// Lines are in one row if their centers differ by less than this share of their height.
const ROW_TOLERANCE: f32 = 0.5;
/// Lines of one row with a smaller gap, in heights, are words of one line.
const WORD_GAP: f32 = 0.35;
/// A line continues the one above it if the gap between them is smaller, in heights.
const STACK_GAP: f32 = 1.8;
/// Lines of one number have about the same height: the largest ratio.
const MAX_HEIGHT_RATIO: f32 = 1.8;
/// The most lines of the next rows among which the line below is searched. It bounds the time of a hostile page.
const MAX_CANDIDATES: usize = 64;

/// The box of a line, along and across the direction of the page's text.
#[derive(Debug, Clone, Copy)]
struct LineBox {
    line: usize,
    left: f32,
    right: f32,
    top: f32,
    bottom: f32,
}

impl LineBox {
    fn height(self) -> f32 {
        (self.bottom - self.top).max(1.0)
    }

    fn center(self) -> f32 {
        f32::midpoint(self.top, self.bottom)
    }

    fn overlap(self, other: Self) -> f32 {
        let width = (self.right - self.left).min(other.right - other.left).max(1.0);
        (self.right.min(other.right) - self.left.max(other.left)) / width
    }

    fn has_height_of(self, other: Self) -> bool {
        let ratio = self.height() / other.height();
        (1.0 / MAX_HEIGHT_RATIO..=MAX_HEIGHT_RATIO).contains(&ratio)
    }
}

/// The rows of a page, from top to bottom, each from left to right.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    rows: Vec<Vec<LineBox>>,
    boxes: HashMap<usize, LineBox>,
}

impl Layout {
    /// Arranges the lines that have a polygon.
    pub(crate) fn new<'a>(polygons: impl Iterator<Item = Option<&'a Polygon>> + Clone) -> Self {
        let known = |polygon: &&Polygon| polygon.iter().flatten().all(|value| value.is_finite());
        let [along_x, along_y] = direction(polygons.clone().flatten().filter(known));
        let boxes = polygons.enumerate().filter_map(|(line, polygon)| {
            let polygon = polygon.filter(known)?;
            let along = polygon.map(|[x, y]| x * along_x + y * along_y);
            let across = polygon.map(|[x, y]| y * along_x - x * along_y);
            let low = |values: [f32; 4]| values.into_iter().fold(f32::INFINITY, f32::min);
            let high = |values: [f32; 4]| values.into_iter().fold(f32::NEG_INFINITY, f32::max);
            Some(LineBox { line, left: low(along), right: high(along), top: low(across), bottom: high(across) })
        });
        let mut boxes: Vec<LineBox> = boxes.collect();
        let by_line = boxes.iter().map(|one| (one.line, *one)).collect();
        boxes.sort_by(|a, b| a.center().total_cmp(&b.center()));
        let mut rows: Vec<Vec<LineBox>> = Vec::new();
        for one in boxes {
            match rows.last_mut() {
                Some(row) if is_in_row(row[0], one) => row.push(one),
                _ => rows.push(vec![one]),
            }
        }
        for row in &mut rows {
            row.sort_by(|a, b| a.left.total_cmp(&b.left));
        }
        Self { rows, boxes: by_line }
    }

    /// Returns whether no order of lines differs from the one in which they are given.
    pub(crate) fn is_trivial(&self) -> bool {
        self.rows.iter().map(Vec::len).sum::<usize>() < 2
    }

    /// Returns what is between two lines that follow each other. Without positions the second may be below the first.
    pub(crate) fn separator(&self, line: usize, next: usize) -> char {
        let (Some(one), Some(next)) = (self.boxes.get(&line), self.boxes.get(&next)) else { return SOFT_BREAK };
        let is_beside = one.overlap(*next) <= 0.0;
        let is_in_row = (one.center() - next.center()).abs() < ROW_TOLERANCE * one.height().min(next.height());
        match (is_beside, is_in_row) {
            (false, _) => '\n',
            (true, true) => CELL,
            (true, false) => BARRIER,
        }
    }

    /// Returns all rows: boxes beside each other are cells, or words if they are close.
    pub(crate) fn rows(&self, mut push_line: impl FnMut(&mut View, usize)) -> View {
        let mut view = View::default();
        for row in &self.rows {
            for (index, one) in row.iter().enumerate() {
                if let Some(before) = index.checked_sub(1).map(|before| row[before]) {
                    let gap = one.left - before.right;
                    if one.overlap(before) > 0.5 {
                        view.push_separator('\n');
                    } else if gap < WORD_GAP * one.height().min(before.height()) {
                        view.push_separator(' ');
                    } else {
                        view.push_separator(CELL);
                    }
                }
                push_line(&mut view, one.line);
            }
            view.push_separator(ROW);
        }
        view
    }

    /// Returns the lines that are above each other, from top to bottom. Groups of a number that have no other number
    /// beside them are a stack: beside those of a table there is one.
    pub(crate) fn columns(
        &self,
        mut push_line: impl FnMut(&mut View, usize),
        text: impl Fn(usize) -> Vec<char>,
    ) -> View {
        let below = self.lines_below();
        let has_above: HashSet<usize> = below.values().map(|one| one.line).collect();
        let is_alone = self.lines_alone(&text);
        let mut view = View::default();
        for row in &self.rows {
            for first in row.iter().filter(|one| !has_above.contains(&one.line) && below.contains_key(&one.line)) {
                let mut line = first.line;
                push_line(&mut view, line);
                while let Some(next) = below.get(&line) {
                    let pair = [line, next.line];
                    let are_groups = pair.iter().all(|line| is_group(text(*line).into_iter()));
                    let are_alone = pair.iter().all(|line| is_alone.contains(line));
                    let is_label = !text(line).iter().any(char::is_ascii_digit);
                    view.push_separator(match (are_alone, are_groups) {
                        (true, true) => STACK,
                        (true, false) => '\n',
                        // The head of a column labels the value below it.
                        (false, _) if is_label => '\n',
                        (false, _) => BARRIER,
                    });
                    push_line(&mut view, next.line);
                    line = next.line;
                }
                view.push_separator(BARRIER);
            }
        }
        view
    }

    /// Returns the line below each line that has one, and of which it is the line above.
    fn lines_below(&self) -> HashMap<usize, LineBox> {
        let mut below: HashMap<usize, LineBox> = HashMap::new();
        let mut taken = HashSet::new();
        for (index, row) in self.rows.iter().enumerate() {
            for one in row {
                let candidates = self.rows[index + 1..].iter().take(3).flatten().take(MAX_CANDIDATES);
                let next = candidates.filter(|next| {
                    let gap = next.top - one.bottom;
                    next.overlap(*one) > 0.5 && gap < STACK_GAP * one.height() && next.has_height_of(*one)
                });
                if let Some(next) = next.min_by(|a, b| a.top.total_cmp(&b.top))
                    && taken.insert(next.line)
                {
                    below.insert(one.line, *next);
                }
            }
        }
        below
    }

    /// Returns the lines without another line with a digit in their row.
    fn lines_alone(&self, text: &impl Fn(usize) -> Vec<char>) -> HashSet<usize> {
        let has_digit = |one: &LineBox| text(one.line).iter().any(char::is_ascii_digit);
        let mut alone = HashSet::new();
        for row in &self.rows {
            let numbers = row.iter().filter(|one| has_digit(one)).count();
            let only_one = numbers < 2;
            alone.extend(row.iter().filter(|_| only_one).map(|one| one.line));
        }
        alone
    }
}

/// Returns whether a line is in the row of another one, whose center is above.
fn is_in_row(first: LineBox, one: LineBox) -> bool {
    one.center() - first.center() < ROW_TOLERANCE * first.height().min(one.height()) && one.has_height_of(first)
}

/// Returns the direction of most text, as a unit vector. The first corner of a polygon is at the start of the text.
fn direction<'a>(polygons: impl Iterator<Item = &'a Polygon>) -> [f32; 2] {
    let sum = polygons.fold([0.0, 0.0], |[x, y], [from, to, ..]| [x + to[0] - from[0], y + to[1] - from[1]]);
    let length = sum[0].hypot(sum[1]);
    if length.is_finite() && length > 0.0 { [sum[0] / length, sum[1] / length] } else { [1.0, 0.0] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Place, ViewChar};

    /// A line of 10 pixels per character at this position.
    fn polygon(x: f32, y: f32, text: &str) -> Polygon {
        let right = x + 10.0 * text.len() as f32;
        [[x, y], [right, y], [right, y + 20.0], [x, y + 20.0]]
    }

    fn turned([x, y]: [f32; 2]) -> [f32; 2] {
        [1000.0 - y, x]
    }

    fn arranged(lines: &[(f32, f32, &str)], is_turned: bool) -> (String, String) {
        let polygons = lines.iter().map(|(x, y, text)| {
            let polygon = polygon(*x, *y, text);
            if is_turned { polygon.map(turned) } else { polygon }
        });
        let polygons: Vec<Polygon> = polygons.collect();
        let layout = Layout::new(polygons.iter().map(Some));
        let push = |view: &mut View, line: usize| {
            for character in lines[line].2.chars() {
                let place = Some(Place { text: line, start: 0, end: 1 });
                view.push(ViewChar { character, place, after_markup: false }, true);
            }
        };
        let text = |view: View| {
            let replace = |character| match character {
                CELL => '|',
                STACK => '^',
                SOFT_BREAK | ROW | '\n' => '/',
                '\0' => '#',
                other => other,
            };
            view.characters().into_iter().map(replace).collect::<String>()
        };
        (text(layout.rows(push)), text(layout.columns(push, |line| lines[line].2.chars().collect())))
    }

    #[test]
    fn boxes_are_read_by_rows_and_stacks_by_columns_in_any_order_and_direction() {
        let lines = [
            (300.0, 10.0, "1111"),
            (0.0, 12.0, "Card"),
            (100.0, 11.0, "4111"),
            (200.0, 9.0, "1111"),
            (100.0, 100.0, "4000"),
            (100.0, 125.0, "5000"),
            (145.0, 10.0, "22"),
        ];
        for is_turned in [false, true] {
            let (rows, columns) = arranged(&lines, is_turned);
            assert_eq!(rows, "Card|4111 22|1111|1111/4000/5000/");
            assert_eq!(columns, "4000^5000#");
        }
    }

    #[test]
    fn numbers_with_another_number_in_their_row_are_no_stack() {
        let table = [(0.0, 0.0, "4111"), (200.0, 0.0, "5"), (0.0, 25.0, "1111"), (200.0, 25.0, "7")];
        assert_eq!(arranged(&table, false).1, "4111#1111#5#7#");
    }
}
