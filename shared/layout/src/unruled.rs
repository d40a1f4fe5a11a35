//! Tables without rulings: rows of text whose gaps are below each other.
//!
//! A table grows from the row with the most cells to the rows above and below it, as long as their cells keep to the
//! same columns. What is aligned in this way may also be columns of running text, or labels with values beside an
//! address: these are told apart by how they fill their width, and by their numbers.

use crate::{
    amounts::{decimal_separator, parse_amount},
    draft::{Draft, DraftCell, group_rows},
    pieces::{InkLine, Piece},
    rect::{Rect, median},
    rows::{TextRow, merge_continuations},
};

/// Minimum gap between two cells, in heights of a line.
const MIN_GUTTER: f32 = 0.5;
/// Maximum gap between rows, in heights of a line, and in usual gaps of the table.
const MAX_ROW_GAP: f32 = 1.5;
const MAX_RELATIVE_GAP: f32 = 2.2;
/// Maximum number of rows of text on a page that is searched.
const MAX_ROWS: usize = 1_000;
/// A column of running text is at least this wide, in heights of a line,
const RUNNING_WIDTH: f32 = 7.0;
/// and this share of its rows
const RUNNING_ROWS: f32 = 0.5;
/// fills this share of its width.
const RUNNING_FILL: f32 = 0.7;
/// A column of numbers has this share of them below its header.
const NUMERIC: f32 = 0.6;
/// Minimum share of places with text.
const MIN_FILL: f32 = 0.5;

/// Cells of a row of the page: pieces that are close together.
#[derive(Debug, Clone)]
struct Row {
    cells: Vec<Vec<Piece>>,
    bounds: Rect,
}

impl Row {
    fn new(pieces: Vec<Piece>, line_height: f32) -> Self {
        let bounds = Rect::union(pieces.iter().map(|piece| piece.rect)).unwrap_or(Rect::around(&[[0.0; 2]]));
        let mut cells: Vec<Vec<Piece>> = Vec::new();
        for piece in pieces {
            let reach = |cell: &Vec<Piece>| cell.iter().map(|other| other.rect.right).fold(f32::MIN, f32::max);
            match cells.last_mut().filter(|cell| piece.rect.left - reach(cell) < MIN_GUTTER * line_height) {
                Some(cell) => cell.push(piece),
                None => cells.push(vec![piece]),
            }
        }
        Self { cells, bounds }
    }

    /// Returns a row in which each piece is a cell.
    fn of_cells(pieces: Vec<Piece>) -> Self {
        let bounds = Rect::union(pieces.iter().map(|piece| piece.rect)).unwrap_or(Rect::around(&[[0.0; 2]]));
        Self { cells: pieces.into_iter().map(|piece| vec![piece]).collect(), bounds }
    }

    fn extents(&self) -> impl Iterator<Item = [f32; 2]> {
        self.cells.iter().map(|cell| extent(cell))
    }
}

fn extent(cell: &[Piece]) -> [f32; 2] {
    let left = cell.iter().map(|piece| piece.rect.left).fold(f32::INFINITY, f32::min);
    [left, cell.iter().map(|piece| piece.rect.right).fold(f32::NEG_INFINITY, f32::max)]
}

/// Returns the tables among lines that are in no ruled one.
pub(crate) fn unruled_tables(lines: &[&InkLine], line_height: f32) -> Vec<Draft> {
    let pieces = lines.iter().flat_map(|line| line.pieces()).collect();
    let mut rows: Vec<Row> = group_rows(pieces).into_iter().map(|row| Row::new(row, line_height)).collect();
    if rows.len() > MAX_ROWS {
        return Vec::new();
    }
    let mut seeds: Vec<usize> = (0..rows.len()).filter(|row| rows[*row].cells.len() >= 2).collect();
    seeds.sort_by_key(|row| std::cmp::Reverse(rows[*row].cells.len()));
    let mut is_used = vec![false; rows.len()];
    let mut tables = Vec::new();
    for seed in seeds {
        if is_used[seed] {
            continue;
        }
        let (region, groups) = grow(&mut rows, seed, &is_used, lines, line_height);
        is_used[seed] = true;
        let found: Vec<Draft> = beside_each_other(&rows[region.clone()], line_height)
            .iter()
            .filter_map(|rows| table_of(rows, groups, line_height))
            .collect();
        if !found.is_empty() {
            is_used[region].fill(true);
            tables.extend(found);
        }
    }
    tables.sort_by(|a, b| a.y[0].total_cmp(&b.y[0]));
    tables
}

/// Returns the rows of two tables that are beside each other: in reading order, all lines of the left one are in front
/// of those of the right one. One set of rows if there is one table.
fn beside_each_other(rows: &[Row], line_height: f32) -> Vec<Vec<Row>> {
    let mut columns: Vec<[f32; 2]> = Vec::new();
    for row in rows {
        columns = with_cells(&columns, row, line_height);
    }
    let pieces = || rows.iter().flat_map(|row| row.cells.iter().flatten());
    let parts = |place: f32| pieces().partition::<Vec<&Piece>, _>(|piece| piece.rect.center()[0] < place);
    let is_border = |place: &f32| {
        let (left, right) = parts(*place);
        let last = left.iter().map(|piece| piece.line).max();
        last.zip(right.iter().map(|piece| piece.line).min()).is_some_and(|(last, first)| last < first)
    };
    let mut places = columns.windows(2).map(|pair| f32::midpoint(pair[0][1], pair[1][0]));
    match places.find(is_border).filter(|_| rows.len() > 2) {
        Some(place) => {
            let (left, right) = parts(place);
            let rows_of = |pieces: Vec<&Piece>| {
                let rows = group_rows(pieces.into_iter().cloned().collect());
                rows.into_iter().map(|row| Row::new(row, line_height)).collect()
            };
            vec![rows_of(left), rows_of(right)]
        }
        None => vec![rows.to_vec()],
    }
}

/// Returns the rows around a seed whose cells are in the same columns, and how many of them are at the top and name
/// groups of columns. Lines that extend over several columns are divided there.
fn grow(
    rows: &mut [Row],
    seed: usize,
    is_used: &[bool],
    lines: &[&InkLine],
    line_height: f32,
) -> (std::ops::Range<usize>, usize) {
    let mut columns: Vec<[f32; 2]> = rows[seed].extents().collect();
    let (mut start, mut end) = (seed, seed + 1);
    let mut gaps: Vec<f32> = Vec::new();
    // The closer one of the rows above and below first, so that a table does not grow into what is beside its columns.
    loop {
        let above = start.checked_sub(1).filter(|row| !is_used[*row]);
        let below = Some(end).filter(|row| *row < rows.len() && !is_used[*row]);
        let gap_above = above.map(|row| rows[start].bounds.top - rows[row].bounds.bottom);
        let gap_below = below.map(|row| rows[row].bounds.top - rows[end - 1].bounds.bottom);
        let limit = (MAX_RELATIVE_GAP * median(gaps.iter().copied())).max(MAX_ROW_GAP * line_height);
        let mut fitting = |row: Option<usize>, gap: Option<f32>| {
            let row = row.filter(|_| gap.is_some_and(|gap| gap <= limit))?;
            let divided = divided_at(&rows[row], &columns, lines, line_height);
            fits(&divided, &columns, row > seed, line_height).then(|| {
                rows[row] = divided;
                row
            })
        };
        let (above, below) = (fitting(above, gap_above), fitting(below, gap_below));
        let (row, gap) = match (above, below) {
            (_, Some(row)) => (row, gap_below),
            (Some(row), None) => (row, gap_above),
            (None, None) => break,
        };
        columns = with_cells(&columns, &rows[row], line_height);
        gaps.extend(gap);
        (start, end) = (start.min(row), end.max(row + 1));
    }
    let group = start.checked_sub(1).filter(|row| !is_used[*row] && is_group_row(&rows[*row], &columns));
    if group.is_some_and(|row| rows[start].bounds.top - rows[row].bounds.bottom < line_height) {
        // A name that belongs to both rows of names is between them.
        let groups = if rows[start].cells.len() == 1 && end - start > 2 { 2 } else { 1 };
        return (start - 1..end, groups);
    }
    // Single cells at the ends are text above and below the table.
    while end - start > 1
        && (rows[start].cells.len() < 2 || rows[start + 1].cells.len() < 2 && rows[start].cells.len() < columns.len())
    {
        start += 1;
    }
    while end - start > 1 && rows[end - 1].cells.len() < 2 && !continues_last(&rows[start..end]) {
        end -= 1;
    }
    (start..end, 0)
}

/// Returns whether a row names groups of columns: each of its cells is above the middle of several.
fn is_group_row(row: &Row, columns: &[[f32; 2]]) -> bool {
    let is_group = |cell: [f32; 2]| {
        let touched: Vec<&[f32; 2]> =
            columns.iter().filter(|column| cell[1].min(column[1]) > cell[0].max(column[0])).collect();
        let (Some(first), Some(last)) = (touched.first(), touched.last()) else { return false };
        let middle = f32::midpoint(first[0], last[1]);
        touched.len() > 1 && (f32::midpoint(cell[0], cell[1]) - middle).abs() < 0.25 * (last[1] - first[0])
    };
    row.cells.len() >= 2
        && row.extents().filter(|cell| is_group(*cell)).count() + 1 >= row.cells.len()
        && !row.cells.iter().flatten().any(Piece::is_numeric)
}

/// Returns whether the last row may continue a cell of the row above: it is closer than the rows of the table are.
fn continues_last(rows: &[Row]) -> bool {
    let gap = |pair: &[Row]| pair[1].bounds.top - pair[0].bounds.bottom;
    let last = rows.windows(2).last().map_or(f32::MAX, gap);
    let usual = median(rows.windows(2).filter(|pair| pair.iter().all(|row| row.cells.len() >= 2)).map(gap));
    last < 0.6 * usual
}

/// Returns whether the cells of a row keep to columns: none extends over two of them, and one is in a column.
/// Below the seed, the label of a total may extend over several.
fn fits(row: &Row, columns: &[[f32; 2]], is_below: bool, line_height: f32) -> bool {
    let touched = |cell: [f32; 2]| {
        let overlap = |column: &&[f32; 2]| cell[1].min(column[1]) - cell[0].max(column[0]) > -0.2 * line_height;
        columns.iter().filter(overlap).count()
    };
    let mut counts = row.extents().map(touched);
    let all: Vec<usize> = counts.by_ref().collect();
    let crossing = all.iter().filter(|count| **count > 1).count();
    let placed = all.iter().filter(|count| **count == 1).count();
    // A label that spans columns is in front of amounts.
    let is_total = is_below && columns.len() >= 3 && row.cells[1..].iter().flatten().all(Piece::is_numeric);
    placed >= 1 && (crossing == 0 || all.len() > 1 && crossing == 1 && is_total)
}

/// Returns a row with its lines divided between columns, where they have a gap there.
fn divided_at(row: &Row, columns: &[[f32; 2]], lines: &[&InkLine], line_height: f32) -> Row {
    let places: Vec<f32> = columns.windows(2).map(|pair| f32::midpoint(pair[0][1], pair[1][0])).collect();
    let crosses = |piece: &Piece| {
        let touched = |column: &&[f32; 2]| piece.rect.right.min(column[1]) > piece.rect.left.max(column[0]);
        columns.iter().filter(touched).count() > 1 && piece.characters.is_none()
    };
    let pieces = row.cells.iter().flatten().flat_map(|piece| {
        let line = lines.iter().find(|line| line.index() == piece.line).filter(|_| crosses(piece));
        line.map_or_else(|| vec![piece.clone()], |line| line.pieces_at_gaps(&places, line_height))
    });
    let pieces: Vec<Piece> = pieces.collect();
    if pieces.len() == row.cells.iter().flatten().count() { row.clone() } else { Row::of_cells(pieces) }
}

/// Returns the columns with the cells of a row, without those that extend over several.
fn with_cells(columns: &[[f32; 2]], row: &Row, line_height: f32) -> Vec<[f32; 2]> {
    let crosses =
        |cell: &[f32; 2]| columns.iter().filter(|column| cell[1].min(column[1]) > cell[0].max(column[0])).count() > 1;
    let mut all: Vec<[f32; 2]> = columns.iter().copied().chain(row.extents().filter(|cell| !crosses(cell))).collect();
    all.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let mut merged: Vec<[f32; 2]> = Vec::new();
    for extent in all {
        match merged.last_mut().filter(|last| extent[0] - last[1] < 0.2 * line_height) {
            Some(last) => last[1] = last[1].max(extent[1]),
            None => merged.push(extent),
        }
    }
    merged
}

fn table_of(rows: &[Row], groups: usize, line_height: f32) -> Option<Draft> {
    let (names, rows) = rows.split_at(groups.min(rows.len()));
    let mut columns: Vec<[f32; 2]> = rows.iter().max_by_key(|row| row.cells.len())?.extents().collect();
    for row in rows {
        columns = with_cells(&columns, row, line_height);
    }
    let columns = join_header_columns(rows, columns);
    let mut text_rows: Vec<TextRow> = rows.iter().map(|row| text_row(row, &columns)).collect();
    let above_names = if names.is_empty() { rows_above_names(&text_rows) } else { 0 };
    text_rows.drain(..above_names);
    let rows = &rows[above_names..];
    if !is_table(&text_rows, &columns, line_height) {
        return None;
    }
    let spans: Vec<(Piece, [usize; 2])> = names.iter().chain(rows).flat_map(|row| spanning(row, &columns)).collect();
    let mut text_rows = merge_continuations(text_rows, &columns);
    if !names.is_empty() {
        let pieces = names.iter().flat_map(|row| row.cells.iter().flatten().cloned()).collect();
        text_rows.insert(0, text_row(&Row::of_cells(pieces), &columns));
    }
    (text_rows.len() >= 2).then(|| {
        let mut table = draft(text_rows, &columns, &spans);
        if !names.is_empty() {
            span_names(&mut table);
        }
        table
    })
}

/// Returns the number of rows above the first one that names all columns, if none of these rows is filled.
fn rows_above_names(rows: &[TextRow]) -> usize {
    const MOST: usize = 4;
    let is_full = |row: &TextRow| row.iter().all(|cell| !cell.is_empty());
    let is_names = |row: &TextRow| is_full(row) && !row.iter().flatten().any(Piece::is_numeric);
    let first = rows.iter().take(MOST).position(is_full).filter(|first| is_names(&rows[*first]));
    first.filter(|first| rows.len() > first + 2).unwrap_or(0)
}

/// Lets the names of columns that are in no group span both rows of names.
fn span_names(table: &mut Draft) {
    let columns = table.columns();
    for column in 0..columns {
        let cell_at = |row: usize| {
            table.cells.iter().position(|cell| cell.row == row && cell.column == column && cell.column_span == 1)
        };
        let (Some(upper), Some(lower)) = (cell_at(0), cell_at(1)) else { continue };
        if table.cells[upper].pieces.is_empty() || table.cells[lower].pieces.is_empty() {
            let below = table.cells.remove(lower).pieces;
            table.cells[upper].pieces.extend(below);
            table.cells[upper].row_span = 2;
        }
    }
}

/// Joins a column that has only its name with the one beside it that has no name: names are aligned to the left, and
/// numbers to the right.
fn join_header_columns(rows: &[Row], mut columns: Vec<[f32; 2]>) -> Vec<[f32; 2]> {
    let mut index = 1;
    while index < columns.len() {
        let filled = |column: usize| -> Vec<usize> {
            let has_cell = |row: &usize| !text_row(&rows[*row], &columns)[column].is_empty();
            (0..rows.len()).filter(has_cell).collect()
        };
        let (left, right) = (filled(index - 1), filled(index));
        let is_name = |of: &[usize], other: &[usize]| of == [0] && !other.contains(&0);
        if rows.len() > 2 && (is_name(&left, &right) || is_name(&right, &left)) {
            let joined = columns.remove(index);
            columns[index - 1][1] = columns[index - 1][1].max(joined[1]);
            columns[index - 1][0] = columns[index - 1][0].min(joined[0]);
        } else {
            index += 1;
        }
    }
    columns
}

/// Returns the pieces of a row by column. A piece that extends over several is in the first.
fn text_row(row: &Row, columns: &[[f32; 2]]) -> TextRow {
    let mut placed: TextRow = vec![Vec::new(); columns.len()];
    for cell in &row.cells {
        let cell_extent = extent(cell);
        let overlaps = |column: &[f32; 2]| cell_extent[1].min(column[1]) - cell_extent[0].max(column[0]);
        let touched: Vec<usize> = (0..columns.len()).filter(|index| overlaps(&columns[*index]) > 0.0).collect();
        let nearest = (0..columns.len()).max_by(|a, b| overlaps(&columns[*a]).total_cmp(&overlaps(&columns[*b])));
        if let Some(column) = touched.first().copied().or(nearest) {
            placed[column].extend(cell.iter().cloned());
        }
    }
    placed
}

/// Returns the cells of a row that extend over several columns, by their first piece.
fn spanning(row: &Row, columns: &[[f32; 2]]) -> Vec<(Piece, [usize; 2])> {
    let range = |cell: &Vec<Piece>| {
        let [left, right] = extent(cell);
        let overlaps = |index: &usize| right.min(columns[*index][1]) > left.max(columns[*index][0]);
        let touched: Vec<usize> = (0..columns.len()).filter(overlaps).collect();
        let (first, last) = (*touched.first()?, *touched.last()?);
        (last > first).then(|| (cell[0].clone(), [first, last]))
    };
    row.cells.iter().filter_map(range).collect()
}

/// Returns whether aligned rows are a table, and not columns of running text or what is beside each other by chance.
fn is_table(rows: &[TextRow], columns: &[[f32; 2]], line_height: f32) -> bool {
    let count = |row: &&TextRow| row.iter().filter(|cell| !cell.is_empty()).count();
    let places: usize = rows.iter().map(|row| count(&row)).sum();
    let several = rows.iter().filter(|row| count(row) >= 2).count();
    if rows.len() < 3 || columns.len() < 2 || several < 2 || 2 * several < rows.len() {
        return false;
    }
    let running = (0..columns.len()).filter(|column| is_running(rows, *column, columns[*column], line_height)).count();
    let numeric = (0..columns.len()).filter(|column| is_numeric_column(rows, *column)).count();
    let is_filled = places as f32 >= MIN_FILL * (rows.len() * columns.len()) as f32;
    let filled_rows = rows.iter().filter(|row| count(row) == columns.len()).count();
    match columns.len() {
        2 => {
            let texts = rows.iter().flatten().flatten();
            let labeled = texts.filter(|piece| piece.text.contains([':', '：'])).count();
            numeric >= 1
                && running == 0
                && several >= 3
                && 4 * filled_rows >= 3 * rows.len()
                && 3 * labeled < rows.len()
                || numeric >= 1 && running <= 1 && several >= 4 && numeric_is_last(rows) && 3 * labeled < rows.len()
        }
        _ if numeric >= 1 => is_filled && 2 * running <= columns.len() && running + numeric <= columns.len(),
        _ => is_filled && running == 0 && several >= 3 && 2 * filled_rows >= rows.len(),
    }
}

fn numeric_is_last(rows: &[TextRow]) -> bool {
    rows.first().is_some_and(|row| is_numeric_column(rows, row.len() - 1))
}

fn is_running(rows: &[TextRow], column: usize, [left, right]: [f32; 2], line_height: f32) -> bool {
    let width = right - left;
    let cells = || rows.iter().map(|row| &row[column]).filter(|cell| !cell.is_empty());
    let fill = |cell: &&Vec<Piece>| extent(cell)[1] - extent(cell)[0] >= RUNNING_FILL * width;
    let full = cells().filter(fill).count();
    let numeric = cells().filter(|cell| cell.iter().all(Piece::is_numeric)).count();
    let all = cells().count();
    width >= RUNNING_WIDTH * line_height && all >= 3 && full as f32 >= RUNNING_ROWS * all as f32 && 2 * numeric < all
}

fn is_numeric_column(rows: &[TextRow], column: usize) -> bool {
    let cells = || rows.iter().skip(1).map(|row| &row[column]).filter(|cell| !cell.is_empty());
    // Without a name, only amounts tell a column from references and dates beside labels.
    let has_name =
        rows.first().is_some_and(|row| !row[column].is_empty() && !row[column].iter().any(Piece::is_numeric));
    let decimal = decimal_separator(cells().flatten().map(|piece| piece.text.as_str()));
    let counts = |piece: &Piece| piece.is_numeric() && (has_name || parse_amount(&piece.text, decimal).is_some());
    let numeric = cells().filter(|cell| cell.iter().any(counts)).count();
    numeric >= 1 && numeric as f32 >= NUMERIC * cells().count() as f32
}

fn draft(rows: Vec<TextRow>, columns: &[[f32; 2]], spans: &[(Piece, [usize; 2])]) -> Draft {
    let bounds_of = |row: &TextRow| Rect::union(row.iter().flatten().map(|piece| piece.rect));
    let bounds: Vec<Rect> = rows.iter().filter_map(bounds_of).collect();
    let between = |ranges: Vec<[f32; 2]>| {
        let inner = ranges.windows(2).map(|pair| f32::midpoint(pair[0][1], pair[1][0]));
        let (first, last) = (ranges.first().map(|range| range[0]), ranges.last().map(|range| range[1]));
        first.into_iter().chain(inner).chain(last).collect::<Vec<f32>>()
    };
    let x = between(columns.to_vec());
    let y = between(bounds.iter().map(|rect| [rect.top, rect.bottom]).collect());
    let mut cells = Vec::new();
    for (row, text_row) in rows.into_iter().enumerate() {
        let mut covered = 0;
        for (column, pieces) in text_row.into_iter().enumerate() {
            if column < covered && pieces.is_empty() {
                continue;
            }
            let span =
                spans.iter().find(|(first, _)| pieces.contains(first)).map_or(1, |(_, [from, to])| to - from + 1);
            covered = column + span;
            cells.push(DraftCell { row, column, row_span: 1, column_span: span, pieces });
        }
    }
    remove_overlaps(&mut cells);
    Draft { x, y, cells, ruled_header: None }
}

/// Shortens cells that extend into the next cell of their row.
fn remove_overlaps(cells: &mut [DraftCell]) {
    for index in 1..cells.len() {
        let (row, column) = (cells[index].row, cells[index].column);
        let before = &mut cells[index - 1];
        if before.row == row {
            before.column_span = before.column_span.min(column - before.column).max(1);
        }
    }
}
