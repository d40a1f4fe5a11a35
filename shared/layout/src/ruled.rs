//! Ruled tables: the lines of the page in the cells of a grid.

use crate::{
    draft::{Draft, DraftCell},
    grid::{Grid, GridCell},
    pieces::{InkLine, Piece},
    rows::split_row,
};

/// Minimum number of cells with text,
const MIN_FILLED: usize = 3;
/// and share of them: boxes of a form and drawings are mostly empty.
const MIN_FILL: f32 = 0.2;

/// Returns the table of a grid, with the lines inside of it; `None` if it is no table.
pub(crate) fn ruled_table(grid: &Grid, lines: &[&InkLine], line_height: f32) -> Option<Draft> {
    let mut cells: Vec<DraftCell> = grid.cells.iter().map(empty_cell).collect();
    for line in lines {
        for piece in line.pieces_between(&borders_at(grid, line.rect().center()[1])) {
            if let Some(cell) = cell_of(grid, &piece) {
                cells[cell].pieces.push(piece);
            }
        }
    }
    let mut table = Draft { x: grid.x.clone(), y: grid.y.clone(), cells, ruled_header: None };
    for row in (0..table.rows()).rev() {
        split_row(&mut table, row, line_height);
    }
    drop_empty_sides(&mut table);
    let is_table = table.rows() >= 2
        && table.columns() >= 2
        && table.filled() >= MIN_FILLED
        && table.filled() as f32 >= MIN_FILL * table.cells.len() as f32;
    is_table.then_some(table)
}

const fn empty_cell(cell: &GridCell) -> DraftCell {
    let GridCell { row, column, row_span, column_span } = *cell;
    DraftCell { row, column, row_span, column_span, pieces: Vec::new() }
}

/// Returns the borders between the cells at a height.
fn borders_at(grid: &Grid, y: f32) -> Vec<f32> {
    let rows = grid.cells.iter().map(|cell| grid.rect(cell)).filter(|rect| (rect.top..rect.bottom).contains(&y));
    let mut borders: Vec<f32> = rows.flat_map(|rect| [rect.left, rect.right]).collect();
    borders.sort_by(f32::total_cmp);
    borders.dedup();
    borders
}

fn cell_of(grid: &Grid, piece: &Piece) -> Option<usize> {
    let [x, y] = piece.rect.center();
    let bounds = grid.bounds();
    let inside = [x.clamp(bounds.left, bounds.right), y.clamp(bounds.top, bounds.bottom)];
    grid.cells.iter().position(|cell| grid.rect(cell).contains(inside))
}

/// Removes columns and rows at the sides that have no text in any cell, such as the space between a frame and its
/// table.
fn drop_empty_sides(table: &mut Draft) {
    let has_text = |table: &Draft, column: usize| {
        table.cells.iter().any(|cell| {
            (cell.column..cell.column + cell.column_span).contains(&column)
                && (!cell.pieces.is_empty() || cell.column_span > 1)
        })
    };
    let narrow = |table: &Draft, column: usize| {
        let widths = table.x[table.columns()] - table.x[0];
        table.x[column + 1] - table.x[column] < 0.04 * widths
    };
    while table.columns() > 1 && !has_text(table, 0) && narrow(table, 0) {
        table.x.remove(0);
        table.cells.retain(|cell| cell.column > 0);
        table.cells.iter_mut().for_each(|cell| cell.column -= 1);
    }
    while table.columns() > 1 && !has_text(table, table.columns() - 1) && narrow(table, table.columns() - 1) {
        table.x.pop();
        let columns = table.columns();
        table.cells.retain(|cell| cell.column < columns);
    }
}
