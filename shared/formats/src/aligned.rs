//! Plain text with the layout of the page: what is in a row is on one line, with its columns aligned.

use quire_tasks::{Line, PageText, Polygon};

use crate::words::width;

/// Maximum number of columns of the output, so that a tiny line cannot stretch it.
const MAX_COLUMNS: f32 = 240.0;
/// A gap between rows of more than this, in heights of a line, is an empty line.
const WIDE_GAP: f32 = 0.9;

/// A line of the page, upright.
struct Placed<'a> {
    left: f32,
    right: f32,
    top: f32,
    bottom: f32,
    /// The width of half a Chinese character.
    advance: f32,
    text: &'a str,
}

/// Returns the text of a page in rows, with spaces between what is apart. A page whose lines have no positions is
/// returned line by line.
pub fn aligned_text(page: &PageText) -> String {
    let placed: Option<Vec<Placed<'_>>> = page.lines.iter().map(|line| place(page, line)).collect();
    let Some(mut lines) = placed.filter(|lines| !lines.is_empty()) else { return page.text() };
    lines.sort_by(|a, b| (a.top + a.bottom).total_cmp(&(b.top + b.bottom)));
    let left = lines.iter().map(|line| line.left).fold(f32::INFINITY, f32::min);
    let right = lines.iter().map(|line| line.left).fold(f32::NEG_INFINITY, f32::max);
    let mut advances: Vec<f32> = lines.iter().map(|line| line.advance).collect();
    advances.sort_by(f32::total_cmp);
    // Small print sets the distance, so that columns of it stay apart.
    let advance = advances[advances.len() / 3].max((right - left) / MAX_COLUMNS).max(f32::MIN_POSITIVE);
    let mut out = String::new();
    let mut bottom_before = f32::INFINITY;
    for row in rows(lines) {
        let top = row.iter().map(|line| line.top).fold(f32::INFINITY, f32::min);
        let bottom = row.iter().map(|line| line.bottom).fold(f32::NEG_INFINITY, f32::max);
        if top - bottom_before > WIDE_GAP * (bottom - top) {
            out.push('\n');
        }
        bottom_before = bottom;
        write_row(&mut out, &row, left, advance);
    }
    out.trim_end().to_owned()
}

/// Groups lines, from the top, into rows from the left.
fn rows(lines: Vec<Placed<'_>>) -> Vec<Vec<Placed<'_>>> {
    let mut rows: Vec<Vec<Placed<'_>>> = Vec::new();
    for line in lines {
        let is_beside = |row: &&mut Vec<Placed<'_>>| {
            row.last().is_some_and(|last| {
                let shared = last.bottom.min(line.bottom) - last.top.max(line.top);
                shared > 0.5 * (last.bottom - last.top).min(line.bottom - line.top)
            })
        };
        match rows.last_mut().filter(is_beside) {
            Some(row) => row.push(line),
            None => rows.push(vec![line]),
        }
    }
    for row in &mut rows {
        row.sort_by(|a, b| a.left.total_cmp(&b.left));
    }
    rows
}

fn write_row(out: &mut String, row: &[Placed<'_>], left: f32, advance: f32) {
    let mut column = 0;
    for line in row {
        let length = (2.0 * width(line.text)) as usize;
        let at = |x: f32| ((x - left) / advance).round().clamp(0.0, MAX_COLUMNS) as usize;
        // Numbers are aligned to the right.
        let wanted =
            if column > 0 && is_number(line.text) { at(line.right).saturating_sub(length) } else { at(line.left) };
        let spaces = if column == 0 { wanted } else { wanted.saturating_sub(column).max(2) };
        out.extend(std::iter::repeat_n(' ', spaces));
        out.push_str(line.text);
        column += spaces + length;
    }
    out.push('\n');
}

fn is_number(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    digits > 0 && digits > text.chars().filter(|c| c.is_alphabetic()).count()
}

fn place<'a>(page: &PageText, line: &'a Line) -> Option<Placed<'a>> {
    let corners = upright(page, &line.polygon?);
    let low = |axis: usize| corners.iter().map(|corner| corner[axis]).fold(f32::INFINITY, f32::min);
    let high = |axis: usize| corners.iter().map(|corner| corner[axis]).fold(f32::NEG_INFINITY, f32::max);
    let text = line.text.trim();
    let advance = (high(0) - low(0)) / (2.0 * width(text)).max(1.0);
    Some(Placed { left: low(0), right: high(0), top: low(1), bottom: high(1), advance, text })
}

/// Returns the corners on the page turned upright.
fn upright(page: &PageText, polygon: &Polygon) -> Polygon {
    let (wide, high) = (page.width as f32, page.height as f32);
    polygon.map(|[x, y]| match page.rotation {
        90 => [high - y, x],
        180 => [wide - x, high - y],
        270 => [y, wide - x],
        _ => [x, y],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain::tests::{line, page};

    fn at(text: &str, left: f32, top: f32) -> Line {
        let right = left + 20.0 * width(text);
        line(text, 0.9, [[left, top], [right, top], [right, top + 20.0], [left, top + 20.0]])
    }

    #[test]
    fn rows_are_on_one_line_and_columns_are_aligned() {
        let lines = vec![
            at("Item", 100.0, 50.0),
            at("数量", 400.0, 52.0),
            at("a long name", 100.0, 80.0),
            at("7", 400.0, 81.0),
            at("Total", 100.0, 150.0),
            at("12.50", 400.0, 150.0),
        ];
        let expected = "Item                          数量\na long name                   7\n\nTotal                         12.50";
        assert_eq!(aligned_text(&page(lines)), expected);
    }

    #[test]
    fn a_page_on_its_side_is_turned() {
        let turned =
            |text: &str, x: f32| line(text, 0.9, [[x, 900.0], [x, 800.0], [x + 20.0, 800.0], [x + 20.0, 900.0]]);
        let read = PageText { rotation: 90, ..page(vec![turned("second", 60.0), turned("first", 20.0)]) };
        assert_eq!(aligned_text(&read), "first\n\nsecond");
    }

    #[test]
    fn text_without_positions_is_returned_line_by_line() {
        let lines = vec![Line { polygon: None, ..at("a", 0.0, 0.0) }, at("b", 0.0, 0.0)];
        assert_eq!(aligned_text(&page(lines)), "a\nb");
    }
}
