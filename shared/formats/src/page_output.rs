//! The text of a page in its mode.

use quire_tasks::{ModeName, PageText};

use crate::{markdown::page_markdown, table_text::TableText};

/// Returns the text of a page: its lines, or in the modes `markdown` and `table` of an engine that reads lines, what is
/// made of their layout.
pub fn page_output(page: &PageText) -> String {
    match page.mode {
        _ if page.blocks.is_empty() => page.text(),
        ModeName::Markdown => page_markdown(page),
        ModeName::Table => tables_as_html(page),
        _ => page.text(),
    }
}

fn tables_as_html(page: &PageText) -> String {
    let mut out = String::new();
    for table in page.blocks.iter().filter_map(|block| block.table.as_ref()) {
        TableText::new(page, table).write_html(&mut out);
    }
    out.trim_end().to_owned()
}
