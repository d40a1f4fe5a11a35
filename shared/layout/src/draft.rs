//! Tables while they are found: cells with pieces of text, on the upright page.

use quire_tasks::{Block, BlockKind, Cell, Table};

use crate::{
    pieces::Piece,
    rect::{Rect, median},
    upright::Upright,
};

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    /// The borders of its columns, and
    pub(crate) x: Vec<f32>,
    /// of its rows.
    pub(crate) y: Vec<f32>,
    /// Its cells, row by row; they cover each place once.
    pub(crate) cells: Vec<DraftCell>,
    /// The rows below which a ruling separates the header; `None` if that is not known.
    pub(crate) ruled_header: Option<usize>,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DraftCell {
    pub(crate) row: usize,
    pub(crate) column: usize,
    pub(crate) row_span: usize,
    pub(crate) column_span: usize,
    pub(crate) pieces: Vec<Piece>,
}

impl DraftCell {
    pub(crate) fn is_numeric(&self) -> bool {
        self.pieces.iter().any(Piece::is_numeric) && self.pieces.iter().all(Piece::is_numeric)
    }
}

impl Draft {
    pub(crate) fn rows(&self) -> usize {
        self.y.len() - 1
    }

    pub(crate) fn columns(&self) -> usize {
        self.x.len() - 1
    }

    pub(crate) fn bounds(&self) -> Rect {
        Rect::between(&self.x, &self.y, [0, self.columns()], [0, self.rows()])
    }

    pub(crate) fn rect(&self, cell: &DraftCell) -> Rect {
        let [columns, rows] = [[cell.column, cell.column + cell.column_span], [cell.row, cell.row + cell.row_span]];
        Rect::between(&self.x, &self.y, columns, rows)
    }

    /// Returns the number of cells with text.
    pub(crate) fn filled(&self) -> usize {
        self.cells.iter().filter(|cell| !cell.pieces.is_empty()).count()
    }

    /// Returns the number of rows at the top that name the columns: rows of labels above numbers. Cells that span
    /// columns have the names of their columns below them.
    fn header_rows(&self) -> usize {
        let in_row = |row: usize| self.cells.iter().filter(move |cell| cell.row == row && !cell.pieces.is_empty());
        let is_labels = |row: usize| in_row(row).count() > 0 && !in_row(row).any(DraftCell::is_numeric);
        if self.rows() < 2 || !is_labels(0) {
            return 0;
        }
        let first = in_row(0);
        let spans = |cell: &DraftCell| {
            (cell.column_span > 1 && cell.column_span < self.columns())
                .then_some(2)
                .into_iter()
                .chain((cell.row_span > 1).then_some(cell.row_span))
                .max()
        };
        let rows = first.filter_map(spans).max().unwrap_or(1).min(self.rows() - 1);
        let rows = (1..rows).take_while(|row| is_labels(*row)).count() + 1;
        let is_half_filled = 2 * in_row(0).map(|cell| cell.column_span).sum::<usize>() >= self.columns();
        if is_half_filled || self.ruled_header == Some(1) { rows } else { 0 }
    }

    /// Returns the block of the table.
    pub(crate) fn into_block(mut self, upright: &Upright) -> Block {
        let header_rows = self.header_rows() as u32;
        self.cells.sort_by_key(|cell| (cell.row, cell.column));
        for cell in &mut self.cells {
            sort_for_reading(&mut cell.pieces);
        }
        let mut lines: Vec<u32> =
            self.cells.iter().flat_map(|cell| &cell.pieces).map(|piece| piece.line as u32).collect();
        lines.sort_unstable();
        lines.dedup();
        let cell = |cell: &DraftCell| Cell {
            row: cell.row as u32,
            column: cell.column as u32,
            row_span: cell.row_span as u32,
            column_span: cell.column_span as u32,
            polygon: upright.polygon(&self.rect(cell)),
            lines: cell.pieces.iter().map(Piece::part).collect(),
        };
        let cells = self.cells.iter().map(cell).collect();
        let table = Table { rows: self.rows() as u32, columns: self.columns() as u32, header_rows, cells };
        let polygon = upright.polygon(&self.bounds());
        Block { kind: BlockKind::Table, polygon, level: None, lines, table: Some(table) }
    }
}

/// Sorts pieces from top to bottom, and those in a row from left to right.
pub(crate) fn sort_for_reading(pieces: &mut Vec<Piece>) {
    let rows = group_rows(std::mem::take(pieces));
    pieces.extend(rows.into_iter().flatten());
}

/// Groups pieces into rows from top to bottom, each from left to right.
pub(crate) fn group_rows(mut pieces: Vec<Piece>) -> Vec<Vec<Piece>> {
    pieces.sort_by(|a, b| a.rect.center()[1].total_cmp(&b.rect.center()[1]));
    let mut rows: Vec<Vec<Piece>> = Vec::new();
    for piece in pieces {
        let height = piece.rect.height();
        let is_beside = |row: &&mut Vec<Piece>| {
            let center = median(row.iter().map(|other| other.rect.center()[1]));
            let low = row.iter().map(|other| other.rect.height()).fold(height, f32::min);
            piece.rect.center()[1] - center < 0.5 * low
        };
        match rows.last_mut().filter(is_beside) {
            Some(row) => row.push(piece),
            None => rows.push(vec![piece]),
        }
    }
    for row in &mut rows {
        row.sort_by(|a, b| a.rect.left.total_cmp(&b.rect.left));
    }
    rows
}
