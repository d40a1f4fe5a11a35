//! Totals below a ruled table that are aligned with its columns, and outside of its rulings.

use crate::{
    draft::{Draft, DraftCell, group_rows},
    pieces::{InkLine, Piece},
    rect::Rect,
};

/// Maximum distance of such a row from the row above it, in heights of a line.
const MAX_GAP: f32 = 2.0;
/// Maximum number of such rows: subtotal, discount, shipping, taxes and total.
const MAX_ROWS: usize = 8;

/// Adds the rows directly below a table whose number is in one of its columns of numbers.
pub(crate) fn add_totals(table: &mut Draft, lines: &[&InkLine], line_height: f32) {
    let bounds = table.bounds();
    let is_below = |line: &&&InkLine| {
        let rect = line.rect();
        rect.center()[1] > bounds.bottom
            && rect.left > bounds.left - line_height
            && rect.right < bounds.right + line_height
    };
    let below: Vec<Piece> = lines.iter().filter(is_below).flat_map(|line| line.pieces()).collect();
    for row in group_rows(below).into_iter().take(MAX_ROWS) {
        let Some(rect) = Rect::union(row.iter().map(|piece| piece.rect)) else { return };
        let bottom = table.bounds().bottom;
        if rect.top - bottom > MAX_GAP * line_height {
            return;
        }
        let Some(placed) = place(table, row) else { return };
        add_row(table, placed, rect.bottom);
    }
}

/// Returns the pieces of a row by column; `None` if it is no row of totals: a label, and an amount in a column of
/// numbers at its right.
fn place(table: &Draft, row: Vec<Piece>) -> Option<Vec<Vec<Piece>>> {
    let mut placed = vec![Vec::new(); table.columns()];
    let is_total = row.len() >= 2
        && row.last().is_some_and(|last| last.is_numeric() && is_in_number_column(table, &last.rect))
        && row.first().is_some_and(|first| !first.is_numeric());
    if !is_total {
        return None;
    }
    for piece in row {
        let overlap =
            |column: &usize| piece.rect.right.min(table.x[column + 1]) - piece.rect.left.max(table.x[*column]);
        let column = (0..table.columns()).max_by(|a, b| overlap(a).total_cmp(&overlap(b)))?;
        placed[column].push(piece);
    }
    Some(placed)
}

fn is_in_number_column(table: &Draft, rect: &Rect) -> bool {
    let column =
        (0..table.columns()).find(|column| (table.x[*column]..table.x[column + 1]).contains(&rect.center()[0]));
    let in_column = |cell: &&DraftCell| Some(cell.column) == column && cell.column_span == 1 && !cell.pieces.is_empty();
    let cells = table.cells.iter().filter(in_column).count();
    let numeric = table.cells.iter().filter(in_column).filter(|cell| cell.is_numeric()).count();
    numeric >= 1 && 2 * numeric >= cells
}

fn add_row(table: &mut Draft, placed: Vec<Vec<Piece>>, bottom: f32) {
    let row = table.rows();
    table.y.push(bottom);
    let cells = placed.into_iter().enumerate();
    table.cells.extend(cells.map(|(column, pieces)| DraftCell { row, column, row_span: 1, column_span: 1, pieces }));
}
