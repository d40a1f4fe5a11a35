//! Which rows of text are rows of a table, and which continue the cells above them.

use crate::{
    draft::{Draft, DraftCell, group_rows},
    pieces::Piece,
    rect::{Rect, median},
};

/// A row of text continues the row above if it is closer to it than this share of the usual distance of rows.
const CLOSE: f32 = 0.82;
/// A line that is as wide as this share of its column may have been broken there.
const FULL: f32 = 0.6;
/// Minimum number of rows of text in a row of the grid that is divided, if rulings do not divide it.
const MIN_ROWS: usize = 2;

/// A row of text: its pieces by column.
pub(crate) type TextRow = Vec<Vec<Piece>>;

fn filled(row: &TextRow) -> usize {
    row.iter().filter(|pieces| !pieces.is_empty()).count()
}

fn bounds(row: &TextRow) -> Option<Rect> {
    Rect::union(row.iter().flatten().map(|piece| piece.rect))
}

fn middle(row: &TextRow) -> f32 {
    median(row.iter().flatten().map(|piece| piece.rect.center()[1]))
}

fn has_number(row: &TextRow) -> bool {
    row.iter().flatten().any(Piece::is_numeric)
}

/// Merges rows of text that continue the cells of the row above.
pub(crate) fn merge_continuations(rows: Vec<TextRow>, columns: &[[f32; 2]]) -> Vec<TextRow> {
    let pitch = row_pitch(&rows);
    let mut merged: Vec<TextRow> = Vec::new();
    let mut last_middle = f32::NEG_INFINITY;
    for row in rows {
        let middle = middle(&row);
        match merged.last_mut() {
            Some(above) if continues(above, &row, middle - last_middle, pitch, columns) => {
                for (cell, pieces) in above.iter_mut().zip(row) {
                    cell.extend(pieces);
                }
            }
            _ => merged.push(row),
        }
        last_middle = middle;
    }
    merged
}

/// Returns the usual distance of rows that are filled for the most part.
fn row_pitch(rows: &[TextRow]) -> f32 {
    let most = rows.iter().map(filled).max().unwrap_or(0);
    let full: Vec<f32> = rows.iter().filter(|row| 3 * filled(row) >= 2 * most).map(middle).collect();
    median(full.windows(2).map(|pair| pair[1] - pair[0]))
}

/// Returns whether a row of text continues cells of the row above: only some that have text, none with a number, and
/// closer than another row would be or after a line that fills its column.
fn continues(above: &TextRow, row: &TextRow, distance: f32, pitch: f32, columns: &[[f32; 2]]) -> bool {
    let in_row: Vec<usize> = (0..row.len()).filter(|column| !row[*column].is_empty()).collect();
    let is_below_text = in_row.iter().all(|column| !above[*column].is_empty());
    if !is_below_text || in_row.len() >= filled(above) || 2 * in_row.len() > columns.len() || has_number(row) {
        return false;
    }
    let is_close = distance < CLOSE * pitch;
    let is_broken = in_row.iter().all(|column| {
        let [left, right] = columns[*column];
        let last = above[*column].last().map_or(0.0, |piece| piece.rect.width());
        last >= FULL * (right - left)
    });
    is_close || is_broken && in_row[0] > 0 && distance < 1.1 * pitch
}

/// Divides a row of the grid whose rows of text no rulings divide: all its cells have one line for each of them, except
/// for those with longer text.
pub(crate) fn split_row(table: &mut Draft, row: usize, line_height: f32) {
    let is_plain = |cell: &&DraftCell| cell.row == row && cell.row_span == 1;
    let in_row: Vec<&DraftCell> = table.cells.iter().filter(is_plain).collect();
    if in_row.len() < 2 || in_row.iter().any(|cell| cell.column_span > 1) || in_row.len() != table.columns() {
        return;
    }
    let Some(parts) = divided(&in_row, line_height) else { return };
    let top_of = |part: &TextRow| bounds(part).map_or(0.0, |rect| rect.top);
    let bottom_of = |part: &TextRow| bounds(part).map_or(0.0, |rect| rect.bottom);
    let borders: Vec<f32> = parts.windows(2).map(|pair| f32::midpoint(bottom_of(&pair[0]), top_of(&pair[1]))).collect();
    let added = parts.len() - 1;
    table.cells.retain(|cell| cell.row != row);
    table.cells.iter_mut().filter(|cell| cell.row > row).for_each(|cell| cell.row += added);
    table.cells.iter_mut().filter(|cell| cell.row < row && cell.row + cell.row_span > row).for_each(|cell| {
        cell.row_span += added;
    });
    let below = table.y.split_off(row + 1);
    table.y.extend(borders.into_iter().chain(below));
    for (offset, part) in parts.into_iter().enumerate() {
        for (column, pieces) in part.into_iter().enumerate() {
            table.cells.push(DraftCell { row: row + offset, column, row_span: 1, column_span: 1, pieces });
        }
    }
    table.cells.sort_by_key(|cell| (cell.row, cell.column));
}

/// Returns the rows of text of a row of the grid; `None` if it is one row.
fn divided(cells: &[&DraftCell], line_height: f32) -> Option<Vec<TextRow>> {
    let all: Vec<(usize, Piece)> =
        cells.iter().flat_map(|cell| cell.pieces.iter().map(|piece| (cell.column, piece.clone()))).collect();
    let columns = cells.len();
    let mut rows: Vec<TextRow> = Vec::new();
    for pieces in group_rows(all.iter().map(|(_, piece)| piece.clone()).collect()) {
        let mut row: TextRow = vec![Vec::new(); columns];
        for piece in pieces {
            let column = all.iter().find(|(_, other)| *other == piece).map_or(0, |(column, _)| *column);
            row[column].push(piece);
        }
        rows.push(row);
    }
    let extents: Vec<[f32; 2]> = cells
        .iter()
        .map(|cell| {
            let rect = Rect::union(cell.pieces.iter().map(|piece| piece.rect));
            rect.map_or([0.0, line_height], |rect| [rect.left, rect.right])
        })
        .collect();
    let rows = merge_continuations(rows, &extents);
    // Numbers on each row of text, in at least one column on all of them: a row of labels of several lines has none.
    let is_row = |row: &TextRow| has_number(row) && filled(row) >= 2;
    let is_divided = rows.len() >= MIN_ROWS && rows.iter().filter(|row| is_row(row)).count() >= rows.len() - 1;
    let numbers_in = |column: usize| rows.iter().filter(|row| row[column].iter().any(Piece::is_numeric)).count();
    let columns_of_numbers = (0..columns).filter(|column| numbers_in(*column) >= MIN_ROWS.max(rows.len() - 1)).count();
    (is_divided && columns_of_numbers >= 1 && rows.iter().filter(|row| filled(row) >= 2).count() >= 2).then_some(rows)
}
