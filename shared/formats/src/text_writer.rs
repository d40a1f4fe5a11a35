//! Writes a task's pages in one of the text formats, page by page.

use std::collections::BTreeSet;

use quire_tasks::{EngineName, PageText};

use crate::{alto, csv::CsvWriter, hocr, markdown::MarkdownWriter, plain};

const STRING_WRITE: &str = "writing to a string cannot fail";

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// Plain text, with a form feed after each page.
    Text,
    /// Markdown, with a horizontal rule between pages. Running headers and footers and page numbers are left out, tables
    /// that are continued on the next page are one, and footnotes are at the end of the document.
    Markdown,
    /// The tables as comma-separated values (RFC 4180), with an empty line between them.
    Csv,
    /// hOCR 1.2.
    Hocr,
    /// ALTO 4.4.
    Alto,
}

/// Writes pages in a text format: the header, each page in order, the footer. It holds one page at most, a table that
/// may be continued and footnotes, so that memory does not grow with the document.
///
/// ```
/// use std::collections::BTreeSet;
///
/// use quire_formats::{TextFormat, TextWriter};
/// use quire_tasks::{Line, PageText};
///
/// let line = Line { text: "Total: 12.50".to_owned(), confidence: Some(0.98), polygon: None, ..Line::default() };
/// let page = PageText::from_lines("pp-ocr@6".parse()?, 1240, 1754, 0, vec![line]);
///
/// let mut writer = TextWriter::new(TextFormat::Text);
/// let mut out = writer.begin("invoice.pdf", Some("invoice.pdf"), &BTreeSet::from([page.engine.clone()]));
/// out += &writer.page(Some(&page));
/// out += &writer.page(None); // a page that could not be read
/// out += &writer.end();
/// assert_eq!(out, "Total: 12.50\n\u{C}\u{C}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TextWriter {
    format: TextFormat,
    pages: usize,
    markdown: MarkdownWriter,
    csv: CsvWriter,
}

impl TextWriter {
    /// Returns a writer that has not written any page.
    pub fn new(format: TextFormat) -> Self {
        Self { format, pages: 0, markdown: MarkdownWriter::default(), csv: CsvWriter::default() }
    }

    /// Returns the header. `title` names the task or its only file, and `engines` are those of all pages, which ALTO
    /// lists before the pages.
    ///
    /// # Panics
    /// Never: writing to a string cannot fail.
    pub fn begin(&self, title: &str, file: Option<&str>, engines: &BTreeSet<EngineName>) -> String {
        let mut out = String::new();
        match self.format {
            TextFormat::Text | TextFormat::Markdown | TextFormat::Csv => {}
            TextFormat::Hocr => hocr::write_header(&mut out, title).expect(STRING_WRITE),
            TextFormat::Alto => alto::write_header(&mut out, file, engines).expect(STRING_WRITE),
        }
        out
    }

    /// Adds the next page; `text` is `None` if the page has no text. Returns what is complete: in some formats, the page
    /// before.
    ///
    /// # Panics
    /// Never: writing to a string cannot fail.
    pub fn page(&mut self, text: Option<&PageText>) -> String {
        let mut out = String::new();
        let index = self.pages;
        self.pages += 1;
        match self.format {
            TextFormat::Text => plain::write_text(&mut out, text),
            TextFormat::Markdown => out.push_str(&self.markdown.page(text)),
            TextFormat::Csv => out.push_str(&self.csv.page(text)),
            TextFormat::Hocr => hocr::write_page(&mut out, index, text).expect(STRING_WRITE),
            TextFormat::Alto => alto::write_page(&mut out, index, text).expect(STRING_WRITE),
        }
        out
    }

    /// Ends a document: the pages that follow are of another one. Returns the rest of its text.
    pub fn end_document(&mut self) -> String {
        match self.format {
            TextFormat::Markdown => self.markdown.end(),
            TextFormat::Csv => self.csv.end(),
            TextFormat::Text | TextFormat::Hocr | TextFormat::Alto => String::new(),
        }
    }

    /// Returns the rest of the last document and the footer.
    ///
    /// # Panics
    /// Never: writing to a string cannot fail.
    pub fn end(mut self) -> String {
        let mut out = self.end_document();
        match self.format {
            TextFormat::Text | TextFormat::Markdown | TextFormat::Csv => {}
            TextFormat::Hocr => hocr::write_footer(&mut out).expect(STRING_WRITE),
            TextFormat::Alto => alto::write_footer(&mut out).expect(STRING_WRITE),
        }
        out
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns the whole output for a task with one file.
    pub(crate) fn write_all(format: TextFormat, title: &str, pages: &[Option<&PageText>]) -> String {
        let engines = pages.iter().flatten().map(|page| page.engine.clone()).collect();
        let mut writer = TextWriter::new(format);
        let mut out = writer.begin(title, Some(title), &engines);
        for page in pages {
            out.push_str(&writer.page(*page));
        }
        out + &writer.end()
    }
}
