//! The tables of a document as comma-separated values.

use quire_tasks::PageText;

use crate::table_text::TableText;

/// Writes tables, with an empty line between them. One that is continued on the next page is one table.
#[derive(Debug, Default)]
pub(crate) struct CsvWriter {
    /// The last table of the pages so far, which the next page may continue.
    table: Option<TableText>,
    written: usize,
}

impl CsvWriter {
    /// Adds a page; `None` if it has no text. Returns what is complete.
    pub(crate) fn page(&mut self, page: Option<&PageText>) -> String {
        let mut out = String::new();
        let tables = page.into_iter().flat_map(|page| {
            let tables = page.blocks.iter().filter_map(|block| block.table.as_ref());
            tables.map(|table| TableText::new(page, table))
        });
        for (index, table) in tables.enumerate() {
            let is_continued = index == 0 && self.table.as_mut().is_some_and(|above| above.append(&table));
            if !is_continued {
                out.push_str(&self.end());
                self.table = Some(table);
            }
        }
        out
    }

    /// Ends a document. Returns the rest of it.
    pub(crate) fn end(&mut self) -> String {
        let mut out = String::new();
        if let Some(table) = self.table.take() {
            if self.written > 0 {
                out.push_str("\r\n");
            }
            self.written += 1;
            table.write_csv(&mut out);
        }
        out
    }
}
