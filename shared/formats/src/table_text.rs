//! Tables with their texts, in HTML, Markdown and CSV.

use std::fmt::Write;

use quire_tasks::{PageText, Table};

use crate::{escape::escape_inline, join::join_lines, xml::Escaped};

/// A table with its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableText {
    pub(crate) columns: usize,
    pub(crate) header_rows: usize,
    /// Its rows; a place that another cell covers has none.
    pub(crate) rows: Vec<Vec<Option<CellText>>>,
}

/// A cell with its text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CellText {
    pub(crate) text: String,
    pub(crate) row_span: usize,
    pub(crate) column_span: usize,
}

impl TableText {
    /// Returns the texts of a table of a page.
    pub(crate) fn new(page: &PageText, table: &Table) -> Self {
        let (rows, columns) = (table.rows as usize, table.columns as usize);
        let mut grid: Vec<Vec<Option<CellText>>> = vec![vec![None; columns]; rows];
        for cell in &table.cells {
            let place = grid.get_mut(cell.row as usize).and_then(|row| row.get_mut(cell.column as usize));
            if let Some(place) = place {
                let text = join_lines(page.cell_texts(cell));
                let (row_span, column_span) = (cell.row_span as usize, cell.column_span as usize);
                *place = Some(CellText { text, row_span, column_span });
            }
        }
        Self { columns, header_rows: table.header_rows as usize, rows: grid }
    }

    fn has_spans(&self) -> bool {
        self.rows.iter().flatten().flatten().any(|cell| cell.row_span > 1 || cell.column_span > 1)
    }

    /// Returns the texts of a row; of covered places, empty ones.
    fn texts(&self, row: usize) -> Vec<&str> {
        self.rows[row].iter().map(|cell| cell.as_ref().map_or("", |cell| cell.text.as_str())).collect()
    }

    /// Appends the rows of the table that continues this one on the next page, without its repeated header. Returns
    /// whether they have the same columns.
    pub(crate) fn append(&mut self, next: &Self) -> bool {
        if self.columns != next.columns {
            return false;
        }
        let header = self.header_rows.min(next.rows.len());
        let is_repeated = header > 0 && (0..header).all(|row| self.texts(row) == next.texts(row));
        if next.header_rows > 0 && !is_repeated {
            return false;
        }
        let repeated = if is_repeated { header } else { 0 };
        self.rows.extend(next.rows[repeated..].iter().cloned());
        true
    }

    /// Writes the table in Markdown: with pipes, or as HTML if cells span rows or columns.
    pub(crate) fn write_markdown(&self, out: &mut String) {
        if self.has_spans() {
            return self.write_html(out);
        }
        let write_row = |out: &mut String, texts: &[&str]| {
            out.push('|');
            for text in texts {
                // Within a cell, only a pipe has a further meaning.
                let escaped = escape_inline(text).replace('|', "\\|");
                let _ = write!(out, " {escaped} |");
            }
            out.push('\n');
        };
        let (header, body) = if self.header_rows == 0 { (vec![""; self.columns], 0) } else { (self.texts(0), 1) };
        write_row(out, &header);
        write_row(out, &vec!["---"; self.columns]);
        (body..self.rows.len()).for_each(|row| write_row(out, &self.texts(row)));
    }

    /// Writes the table in HTML, row by row.
    pub(crate) fn write_html(&self, out: &mut String) {
        out.push_str("<table>\n");
        for (index, row) in self.rows.iter().enumerate() {
            let name = if index < self.header_rows { "th" } else { "td" };
            out.push_str("<tr>");
            for cell in row.iter().flatten() {
                let span = |attribute: &str, span: usize| {
                    if span > 1 { format!(" {attribute}=\"{span}\"") } else { String::new() }
                };
                let spans = span("rowspan", cell.row_span) + &span("colspan", cell.column_span);
                let _ = write!(out, "<{name}{spans}>{}</{name}>", Escaped(&cell.text));
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</table>\n");
    }

    /// Writes the table as comma-separated values (RFC 4180). Of a cell that spans several places, the first has the
    /// text.
    pub(crate) fn write_csv(&self, out: &mut String) {
        for row in 0..self.rows.len() {
            let fields: Vec<String> = self.texts(row).into_iter().map(csv_field).collect();
            out.push_str(&fields.join(","));
            out.push_str("\r\n");
        }
    }
}

/// Returns a field. A text that a spreadsheet would execute as a formula gets an apostrophe, as OWASP recommends
/// ("CSV Injection"); a signed number is none.
fn csv_field(text: &str) -> String {
    let is_number = text.chars().any(|c| c.is_ascii_digit())
        && text.chars().skip(1).all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | ' ' | '\'' | '%'));
    let is_formula =
        text.starts_with(['=', '@', '\t', '\r']) || text.starts_with(['+', '-']) && !is_number && text.len() > 1;
    let guarded = if is_formula { format!("'{text}") } else { text.to_owned() };
    if guarded.contains([',', '"', '\r', '\n']) { format!("\"{}\"", guarded.replace('"', "\"\"")) } else { guarded }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(header_rows: usize, rows: &[&[&str]]) -> TableText {
        let cell = |text: &&str| Some(CellText { text: (*text).to_owned(), row_span: 1, column_span: 1 });
        let rows: Vec<Vec<Option<CellText>>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        TableText { columns: rows[0].len(), header_rows, rows }
    }

    fn markdown(table: &TableText) -> String {
        let mut out = String::new();
        table.write_markdown(&mut out);
        out
    }

    #[test]
    fn a_table_without_spans_has_pipes() {
        let plain = table(1, &[&["Item", "a|b"], &["*x*", ""]]);
        assert_eq!(markdown(&plain), "| Item | a\\|b |\n| --- | --- |\n| \\*x\\* |  |\n");
        let headless = table(0, &[&["a", "1"]]);
        assert_eq!(markdown(&headless), "|  |  |\n| --- | --- |\n| a | 1 |\n");
    }

    #[test]
    fn a_table_with_spans_is_html() {
        let mut spanning = table(1, &[&["<Q1>", "", "c"], &["1", "2", "3"]]);
        spanning.rows[0][0] = Some(CellText { text: "<Q1>".to_owned(), row_span: 1, column_span: 2 });
        spanning.rows[0][1] = None;
        let expected = "<table>\n<tr><th colspan=\"2\">&lt;Q1&gt;</th><th>c</th></tr>\n\
            <tr><td>1</td><td>2</td><td>3</td></tr>\n</table>\n";
        assert_eq!(markdown(&spanning), expected);
    }

    #[test]
    fn a_continued_table_has_one_header() {
        let mut first = table(1, &[&["Item", "Price"], &["a", "1"]]);
        assert!(first.append(&table(1, &[&["Item", "Price"], &["b", "2"]])));
        assert!(first.append(&table(0, &[&["c", "3"]])));
        assert_eq!(first, table(1, &[&["Item", "Price"], &["a", "1"], &["b", "2"], &["c", "3"]]));
        assert!(!first.append(&table(1, &[&["Date", "Place"], &["b", "2"]])), "it is another table");
        assert!(!first.append(&table(0, &[&["a", "b", "c"]])));
    }

    #[test]
    fn fields_are_quoted_and_formulas_are_not_executed() {
        let mut out = String::new();
        table(0, &[&["a,b", "say \"x\"", "=1+1"], &["-5.00", "+cmd|x", "@a"], &["-", "+49 30 12", "x"]])
            .write_csv(&mut out);
        assert_eq!(out, "\"a,b\",\"say \"\"x\"\"\",'=1+1\r\n-5.00,'+cmd|x,'@a\r\n-,+49 30 12,x\r\n");
    }
}
