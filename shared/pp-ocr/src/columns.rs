//! Tells the gutter between two columns of text from the space between the columns of a table, whose rows must be kept
//! together.

use std::ops::Range;

use crate::paragraphs::{Bounds, group_rows, union};

/// A column of text, unlike the cells of a table, has at least this many rows,
const MIN_ROWS: usize = 3;
/// is at least this wide, in heights of a line without margins (a date has 8 to 12, a column of a newspaper 15),
const MIN_ASPECT: f32 = 9.0;
/// its rows fill this share of its width,
const FULL_ROW: f32 = 0.7;
/// without spaces that are wider than this many heights of a line, as there are between the cells of a table,
const MAX_SPACE: f32 = 1.5;
/// at least this share of them,
const MIN_FULL_ROWS: f32 = 0.55;
/// and their distance is at most this many heights: one and a half times normal leading.
const MAX_PITCH: f32 = 2.5;
/// Maximum width of a gutter between such columns, as a share of the narrower one: table cells may be as long as lines
/// of running text, but are further apart.
const MAX_GUTTER: f32 = 0.5;
/// Rows are aligned if their middles differ by less than this, in heights of a line.
const ALIGNED: f32 = 0.3;
/// Minimum share of the rows of a table that are aligned. Rows of two independent texts are aligned by chance: 0.3.
const MIN_ALIGNED: f32 = 0.6;
/// Minimum share of the rows of a table between which the longer cells beside them end.
const MIN_CELL_ENDS: f32 = 0.75;
/// A paragraph ends where the distance of rows exceeds their median by this factor.
const PARAGRAPH_GAP: f32 = 1.3;
/// Minimum number of such ends, and share of them at which a paragraph beside it ends, too, for a table with cells of
/// several lines.
const MIN_COMMON_ENDS: usize = 3;
const COMMON_ENDS: f32 = 0.75;
/// Below this number of rows, a gutter may be a river: spaces between words that are below each other by chance. They
/// end at a line of the same paragraph.
const RIVER_ROWS: usize = 10;
/// Two gutters are beside each other if they share this much of the height of one.
const SHARED_HEIGHT: f32 = 0.7;
/// A strip is bounded by other gutters that are at least this wide, relative to its own one: by no space between words.
const COMPARABLE_WIDTH: f32 = 0.5;
/// Minimum number of gutters in each of two tables with the same columns: two pairs of labels and values have one each.
const MIN_TABLE_GUTTERS: usize = 2;
/// Maximum difference of the positions of such gutters, as a share of the width of the table.
const SAME_PLACE: f32 = 0.08;

/// What is on both sides of a gutter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sides {
    /// Text of which the left side is to be read first.
    Columns,
    /// Table rows with cells of several lines, which end at these heights.
    LongCells(Vec<f32>),
    /// Table cells, or one text.
    Rows,
}

/// Returns what is on both sides of a gutter. `gutters` are all gutters between the fragments.
pub(crate) fn sides_of(gutter: &Bounds, gutters: &[Bounds], fragments: &[Bounds], line_height: f32) -> Sides {
    let beside: Vec<Bounds> = gutters.iter().filter(|other| is_beside(gutter, other)).copied().collect();
    let comparable = || beside.iter().filter(|other| other.width() >= COMPARABLE_WIDTH * gutter.width());
    let left_end = comparable().filter(|other| other.right <= gutter.left).map(|other| other.right);
    let right_end = comparable().filter(|other| other.left >= gutter.right).map(|other| other.left);
    let left_end = left_end.fold(f32::NEG_INFINITY, f32::max);
    let right_end = right_end.fold(f32::INFINITY, f32::min);
    let left = Side::of(gutter, fragments, left_end..gutter.left, line_height);
    let right = Side::of(gutter, fragments, gutter.right..right_end, line_height);
    let fewest = left.rows.len().min(right.rows.len());
    if fewest < MIN_ROWS || fewest < RIVER_ROWS && ends_at_text(gutter, &left, &right, fragments) {
        return Sides::Rows;
    }
    let is_near = gutter.width() <= MAX_GUTTER * left.width.min(right.width);
    if is_near && left.is_running(line_height) && right.is_running(line_height) {
        return left.common_ends(&right, line_height).map_or(Sides::Columns, Sides::LongCells);
    }
    let are_columns = left.is_independent(&right, line_height) || is_between_tables(gutter, &beside, fragments);
    if are_columns { Sides::Columns } else { Sides::Rows }
}

/// Returns the width of a row without the spaces that are wider than `max_space`.
fn filled_width(fragments: &[Bounds], row: &[usize], max_space: f32) -> f32 {
    let mut parts: Vec<Bounds> = row.iter().map(|index| fragments[*index]).collect();
    parts.sort_by(|a, b| a.left.total_cmp(&b.left));
    let (mut filled, mut end) = (0.0, f32::NEG_INFINITY);
    for part in parts {
        let start = if part.left - end <= max_space { end } else { part.left };
        filled += (part.right - start).max(0.0);
        end = end.max(part.right);
    }
    filled
}

fn is_beside(gutter: &Bounds, other: &Bounds) -> bool {
    let shared = gutter.bottom.min(other.bottom) - gutter.top.max(other.top);
    shared >= SHARED_HEIGHT * gutter.height()
}

/// The rows of text in the strip on one side of a gutter.
struct Side {
    rows: Vec<Bounds>,
    /// The width of each row that is text, without wide spaces.
    filled: Vec<f32>,
    width: f32,
}

impl Side {
    fn of(gutter: &Bounds, fragments: &[Bounds], strip: Range<f32>, line_height: f32) -> Self {
        let is_inside = |fragment: &&Bounds| {
            let middle = f32::midpoint(fragment.left, fragment.right);
            (gutter.top..gutter.bottom).contains(&fragment.middle()) && strip.start < middle && middle < strip.end
        };
        let inside: Vec<Bounds> = fragments.iter().filter(is_inside).copied().collect();
        let rows = group_rows(&inside, (0..inside.len()).collect());
        let width = inside.iter().copied().reduce(Bounds::and).map_or(0.0, |bounds| bounds.width());
        let filled = rows.iter().map(|row| filled_width(&inside, row, MAX_SPACE * line_height)).collect();
        Self { rows: rows.iter().map(|row| union(&inside, row)).collect(), filled, width }
    }

    fn pitches(&self) -> Vec<f32> {
        self.rows.windows(2).map(|pair| pair[1].middle() - pair[0].middle()).collect()
    }

    fn pitch(&self) -> f32 {
        let mut pitches = self.pitches();
        pitches.sort_by(f32::total_cmp);
        pitches.get(pitches.len() / 2).copied().unwrap_or(0.0)
    }

    /// Returns whether the rows look like running text.
    fn is_running(&self, line_height: f32) -> bool {
        let full = self.filled.iter().filter(|width| **width >= FULL_ROW * self.width).count();
        self.width >= MIN_ASPECT * line_height
            && full as f32 >= MIN_FULL_ROWS * self.rows.len() as f32
            && self.pitch() <= MAX_PITCH * line_height
    }

    /// Returns where paragraphs on both sides end if they end together, as in a table with cells of several lines.
    fn common_ends(&self, other: &Self, line_height: f32) -> Option<Vec<f32>> {
        let (ours, others) = (self.ends(), other.ends());
        let is_common = |end: &f32| others.iter().any(|other| (*end - other).abs() < line_height);
        let most = ours.len().max(others.len()) as f32;
        let common: Vec<f32> = ours.into_iter().filter(is_common).collect();
        (common.len() >= MIN_COMMON_ENDS && common.len() as f32 >= COMMON_ENDS * most).then_some(common)
    }

    fn ends(&self) -> Vec<f32> {
        let pitch = self.pitch();
        let pairs = self.rows.windows(2);
        let ends = pairs.filter(|pair| pair[1].middle() - pair[0].middle() > PARAGRAPH_GAP * pitch);
        ends.map(|pair| f32::midpoint(pair[0].middle(), pair[1].middle())).collect()
    }

    /// Returns whether the rows on both sides are at other heights, as in a text with a sidebar or in two tables.
    fn is_independent(&self, other: &Self, line_height: f32) -> bool {
        let (few, many) = if self.rows.len() <= other.rows.len() { (self, other) } else { (other, self) };
        let is_aligned =
            |row: &&Bounds| many.rows.iter().any(|other| (row.middle() - other.middle()).abs() < ALIGNED * line_height);
        let aligned = few.rows.iter().filter(is_aligned).count() as f32;
        if aligned >= MIN_ALIGNED * few.rows.len() as f32 {
            return false;
        }
        let ends = many.ends();
        let has_end = |pair: &&[Bounds]| ends.iter().any(|end| (pair[0].middle()..pair[1].middle()).contains(end));
        let with_end = few.rows.windows(2).filter(has_end).count();
        (with_end as f32) < MIN_CELL_ENDS * (few.rows.len() - 1) as f32
    }
}

/// Returns whether a gutter ends at a line of the same text, at the distance of its rows.
fn ends_at_text(gutter: &Bounds, left: &Side, right: &Side, fragments: &[Bounds]) -> bool {
    let rows = left.rows.iter().chain(&right.rows);
    let (first, last) = rows.fold((f32::INFINITY, f32::NEG_INFINITY), |(first, last), row| {
        (first.min(row.middle()), last.max(row.middle()))
    });
    let pitch = left.pitch().max(right.pitch());
    let crosses = |fragment: &&Bounds| fragment.left < gutter.right && gutter.left < fragment.right;
    fragments.iter().filter(crosses).any(|fragment| {
        let distance = if fragment.middle() < first { first - fragment.middle() } else { fragment.middle() - last };
        (0.0..PARAGRAPH_GAP * pitch).contains(&distance)
    })
}

/// Returns whether two tables with the same columns are on both sides.
fn is_between_tables(gutter: &Bounds, beside: &[Bounds], fragments: &[Bounds]) -> bool {
    let is_inside = |fragment: &&Bounds| (gutter.top..gutter.bottom).contains(&fragment.middle());
    let (left, right): (Vec<Bounds>, Vec<Bounds>) =
        fragments.iter().filter(is_inside).partition(|fragment| fragment.right <= gutter.left + 1.0);
    let (Some(left), Some(right)) = (left.into_iter().reduce(Bounds::and), right.into_iter().reduce(Bounds::and))
    else {
        return false;
    };
    let (ours, others) = (columns_of(&left, beside), columns_of(&right, beside));
    let is_same = |(a, b): (&f32, &f32)| (a - b).abs() < SAME_PLACE;
    ours.len() >= MIN_TABLE_GUTTERS && ours.len() == others.len() && ours.iter().zip(&others).all(is_same)
}

/// Returns where the columns of a table start, as shares of its width.
fn columns_of(table: &Bounds, gutters: &[Bounds]) -> Vec<f32> {
    let inside = gutters.iter().filter(|gutter| gutter.left > table.left && gutter.right < table.right);
    let mut places: Vec<f32> = inside.map(|gutter| (gutter.right - table.left) / table.width()).collect();
    places.sort_by(f32::total_cmp);
    places.dedup_by(|a, b| (*a - *b).abs() < SAME_PLACE);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE_HEIGHT: f32 = 13.0;

    /// Returns whether six rows of these parts (left, width) look like running text.
    fn is_running(parts: [(f32, f32); 3]) -> bool {
        let row = |row: u8| {
            let top = 27.0 * f32::from(row);
            parts.map(|(left, width)| Bounds { left, right: left + width, top, bottom: top + LINE_HEIGHT })
        };
        let fragments: Vec<Bounds> = (0..6).flat_map(row).collect();
        let gutter = Bounds { left: 320.0, right: 390.0, top: 0.0, bottom: 200.0 };
        Side::of(&gutter, &fragments, f32::NEG_INFINITY..gutter.left, LINE_HEIGHT).is_running(LINE_HEIGHT)
    }

    #[test]
    fn words_are_running_text_and_the_cells_of_a_table_are_not() {
        assert!(is_running([(0.0, 100.0), (106.0, 94.0), (212.0, 104.0)]));
        assert!(!is_running([(0.0, 20.0), (80.0, 60.0), (220.0, 96.0)]));
    }
}
