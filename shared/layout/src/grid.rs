//! The cells of ruled tables: rulings that cross form a grid, and a missing ruling joins two places of it.

use crate::{
    rect::Rect,
    rulings::{Ruling, Rulings},
};

/// Minimum share of a border between two places that is ruled.
const MIN_BORDER: f32 = 0.6;
/// Minimum size of a place in the grid, in heights of a line: closer rulings are double lines.
const MIN_SIZE: f32 = 0.45;
/// Maximum number of rows and columns of a grid: beyond it, it is graph paper or a drawing.
const MAX_SIDE: usize = 300;

/// A grid of rulings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Grid {
    /// The borders of its columns, and
    pub(crate) x: Vec<f32>,
    /// of its rows.
    pub(crate) y: Vec<f32>,
    pub(crate) cells: Vec<GridCell>,
}

/// A cell of a grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GridCell {
    pub(crate) row: usize,
    pub(crate) column: usize,
    pub(crate) row_span: usize,
    pub(crate) column_span: usize,
}

impl Grid {
    pub(crate) fn rows(&self) -> usize {
        self.y.len() - 1
    }

    pub(crate) fn columns(&self) -> usize {
        self.x.len() - 1
    }

    pub(crate) fn bounds(&self) -> Rect {
        Rect::between(&self.x, &self.y, [0, self.columns()], [0, self.rows()])
    }

    pub(crate) fn rect(&self, cell: &GridCell) -> Rect {
        let [columns, rows] = [[cell.column, cell.column + cell.column_span], [cell.row, cell.row + cell.row_span]];
        Rect::between(&self.x, &self.y, columns, rows)
    }
}

/// Returns the grids of a page, each with at least two cells.
pub(crate) fn find_grids(rulings: &Rulings, line_height: f32) -> Vec<Grid> {
    let mut grids: Vec<Grid> = connected(rulings).into_iter().filter_map(|part| grid(&part, line_height)).collect();
    grids.retain(|grid| grid.cells.len() >= 2);
    // A table inside of a cell of another one belongs to that cell.
    let bounds: Vec<Rect> = grids.iter().map(Grid::bounds).collect();
    let is_inside = |inner: &Rect| {
        bounds.iter().any(|outer| outer != inner && outer.contains(inner.center()) && outer.width() > inner.width())
    };
    let keep: Vec<bool> = bounds.iter().map(|inner| !is_inside(inner)).collect();
    let mut keep = keep.into_iter();
    grids.retain(|_| keep.next().unwrap_or(true));
    grids
}

/// Returns the sets of rulings that are connected, each with rulings in both directions.
fn connected(rulings: &Rulings) -> Vec<Rulings> {
    let count = rulings.horizontal.len();
    let mut sets = DisjointSets::new(count + rulings.vertical.len());
    for (index, horizontal) in rulings.horizontal.iter().enumerate() {
        for (other, vertical) in rulings.vertical.iter().enumerate() {
            if crosses(horizontal, vertical, rulings.tolerance) {
                sets.join(index, count + other);
            }
        }
    }
    let mut parts: Vec<(usize, Rulings)> = Vec::new();
    for index in 0..count + rulings.vertical.len() {
        let root = sets.root(index);
        let place = parts.iter().position(|(known, _)| *known == root).unwrap_or_else(|| {
            parts.push((root, Rulings { tolerance: rulings.tolerance, ..Rulings::default() }));
            parts.len() - 1
        });
        match index.checked_sub(count) {
            None => parts[place].1.horizontal.push(rulings.horizontal[index]),
            Some(vertical) => parts[place].1.vertical.push(rulings.vertical[vertical]),
        }
    }
    let parts = parts.into_iter().map(|(_, part)| part);
    parts.filter(|part| !part.horizontal.is_empty() && !part.vertical.is_empty()).collect()
}

fn crosses(horizontal: &Ruling, vertical: &Ruling, tolerance: f32) -> bool {
    (horizontal.from - tolerance..=horizontal.to + tolerance).contains(&vertical.at)
        && (vertical.from - tolerance..=vertical.to + tolerance).contains(&horizontal.at)
}

fn grid(part: &Rulings, line_height: f32) -> Option<Grid> {
    let min_size = (MIN_SIZE * line_height).max(part.tolerance);
    let ends = |rulings: &[Ruling]| {
        let from = rulings.iter().map(|ruling| ruling.from).fold(f32::INFINITY, f32::min);
        let to = rulings.iter().map(|ruling| ruling.to).fold(f32::NEG_INFINITY, f32::max);
        [from, to]
    };
    let x = borders(&part.vertical, ends(&part.horizontal), min_size);
    let y = borders(&part.horizontal, ends(&part.vertical), min_size);
    let is_grid = (2..=MAX_SIDE).contains(&x.len()) && (2..=MAX_SIDE).contains(&y.len());
    is_grid.then(|| {
        let cells = cells(part, &x, &y);
        Grid { x, y, cells }
    })
}

/// Returns the places of the rulings, each once, and where the crossing ones end: tables often have no outer border.
fn borders(rulings: &[Ruling], ends: [f32; 2], min_size: f32) -> Vec<f32> {
    let mut places: Vec<f32> = rulings.iter().map(|ruling| ruling.at).collect();
    places.sort_by(f32::total_cmp);
    let mut borders: Vec<f32> = Vec::new();
    for place in places {
        match borders.last_mut() {
            Some(last) if place - *last < min_size => *last = f32::midpoint(*last, place),
            _ => borders.push(place),
        }
    }
    if borders.first().is_some_and(|first| first - ends[0] >= min_size) {
        borders.insert(0, ends[0]);
    }
    if borders.last().is_some_and(|last| ends[1] - last >= min_size) {
        borders.push(ends[1]);
    }
    borders
}

/// Returns the cells: places that no ruling separates are one. A cell that would not be a rectangle is extended to one.
fn cells(part: &Rulings, x: &[f32], y: &[f32]) -> Vec<GridCell> {
    let (rows, columns) = (y.len() - 1, x.len() - 1);
    let mut sets = DisjointSets::new(rows * columns);
    for row in 0..rows {
        for column in 0..columns {
            let place = row * columns + column;
            if column + 1 < columns && !is_ruled(&part.vertical, x[column + 1], y[row], y[row + 1], part.tolerance) {
                sets.join(place, place + 1);
            }
            if row + 1 < rows && !is_ruled(&part.horizontal, y[row + 1], x[column], x[column + 1], part.tolerance) {
                sets.join(place, place + columns);
            }
        }
    }
    loop {
        let found = rectangles(&mut sets, rows, columns);
        let mut changed = false;
        for cell in &found {
            let first = cell.row * columns + cell.column;
            for row in cell.row..cell.row + cell.row_span {
                for column in cell.column..cell.column + cell.column_span {
                    changed |= sets.join(first, row * columns + column);
                }
            }
        }
        if !changed {
            return found;
        }
    }
}

/// Returns the rectangle around each set of places, row by row.
fn rectangles(sets: &mut DisjointSets, rows: usize, columns: usize) -> Vec<GridCell> {
    let mut bounds: Vec<Option<[usize; 4]>> = vec![None; rows * columns];
    for row in 0..rows {
        for column in 0..columns {
            let root = sets.root(row * columns + column);
            let [top, left, bottom, right] = bounds[root].unwrap_or([row, column, row, column]);
            bounds[root] = Some([top.min(row), left.min(column), bottom.max(row), right.max(column)]);
        }
    }
    let cell = |[top, left, bottom, right]: [usize; 4]| GridCell {
        row: top,
        column: left,
        row_span: bottom + 1 - top,
        column_span: right + 1 - left,
    };
    let mut cells: Vec<GridCell> = bounds.into_iter().flatten().map(cell).collect();
    cells.sort_by_key(|cell| (cell.row, cell.column));
    cells
}

/// Returns whether rulings near `at` cover most of a border.
fn is_ruled(rulings: &[Ruling], at: f32, from: f32, to: f32, tolerance: f32) -> bool {
    let near = rulings.iter().filter(|ruling| (ruling.at - at).abs() <= 1.5 * tolerance);
    near.map(|ruling| ruling.shared(from, to)).sum::<f32>() >= MIN_BORDER * (to - from)
}

/// Disjoint sets of numbers (union-find with path halving).
struct DisjointSets(Vec<usize>);

impl DisjointSets {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn root(&mut self, mut member: usize) -> usize {
        while self.0[member] != member {
            self.0[member] = self.0[self.0[member]];
            member = self.0[member];
        }
        member
    }

    /// Joins the sets of two members. Returns whether they were different.
    fn join(&mut self, one: usize, other: usize) -> bool {
        let (one, other) = (self.root(one), self.root(other));
        self.0[other.max(one)] = other.min(one);
        one != other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ruling(at: f32, from: f32, to: f32) -> Ruling {
        Ruling { at, from, to }
    }

    fn spans(grid: &Grid) -> Vec<[usize; 4]> {
        grid.cells.iter().map(|cell| [cell.row, cell.column, cell.row_span, cell.column_span]).collect()
    }

    #[test]
    fn missing_rulings_are_spans() {
        let horizontal = vec![
            ruling(0.0, 0.0, 300.0),
            ruling(40.0, 100.0, 300.0),
            ruling(80.0, 0.0, 300.0),
            ruling(120.0, 0.0, 300.0),
        ];
        let vertical = vec![
            ruling(0.0, 0.0, 120.0),
            ruling(100.0, 0.0, 120.0),
            ruling(200.0, 40.0, 120.0),
            ruling(300.0, 0.0, 120.0),
        ];
        let [grid] = &find_grids(&Rulings { horizontal, vertical, tolerance: 5.0 }, 30.0)[..] else {
            panic!("one grid")
        };
        assert_eq!((grid.rows(), grid.columns()), (3, 3));
        let expected =
            [[0, 0, 2, 1], [0, 1, 1, 2], [1, 1, 1, 1], [1, 2, 1, 1], [2, 0, 1, 1], [2, 1, 1, 1], [2, 2, 1, 1]];
        assert_eq!(spans(grid), expected);
    }

    #[test]
    fn a_grid_without_outer_borders_ends_where_its_rulings_end() {
        let horizontal = vec![ruling(40.0, 0.0, 300.0), ruling(80.0, 0.0, 300.0)];
        let vertical = vec![ruling(100.0, 0.0, 120.0), ruling(200.0, 0.0, 120.0)];
        let [grid] = &find_grids(&Rulings { horizontal, vertical, tolerance: 5.0 }, 30.0)[..] else {
            panic!("one grid")
        };
        assert_eq!((grid.x.clone(), grid.y.clone()), (vec![0.0, 100.0, 200.0, 300.0], vec![0.0, 40.0, 80.0, 120.0]));
        assert_eq!(grid.cells.len(), 9);
    }

    #[test]
    fn two_tables_are_two_grids_and_a_frame_is_none() {
        let frame = |left: f32, middle: Option<f32>| {
            let horizontal = [0.0, 50.0].map(|at| ruling(at, left, left + 100.0));
            let vertical = [Some(left), middle, Some(left + 100.0)].into_iter().flatten();
            (horizontal, vertical.map(|at| ruling(at, 0.0, 50.0)).collect::<Vec<_>>())
        };
        let mut rulings = Rulings { tolerance: 5.0, ..Rulings::default() };
        for (left, middle) in [(0.0, Some(40.0)), (200.0, Some(250.0)), (400.0, None)] {
            let (horizontal, vertical) = frame(left, middle);
            rulings.horizontal.extend(horizontal);
            rulings.vertical.extend(vertical);
        }
        let grids = find_grids(&rulings, 30.0);
        assert_eq!(grids.iter().map(|grid| grid.cells.len()).collect::<Vec<_>>(), [2, 2]);
    }

    #[test]
    fn an_l_shaped_cell_becomes_a_rectangle() {
        let horizontal = vec![ruling(0.0, 0.0, 200.0), ruling(50.0, 100.0, 200.0), ruling(100.0, 0.0, 200.0)];
        let vertical = vec![ruling(0.0, 0.0, 100.0), ruling(100.0, 50.0, 100.0), ruling(200.0, 0.0, 100.0)];
        let grids = find_grids(&Rulings { horizontal, vertical, tolerance: 5.0 }, 30.0);
        assert_eq!(grids, [], "it covers the whole grid");
    }
}
