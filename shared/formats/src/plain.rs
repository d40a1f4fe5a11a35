//! Plain text.

use quire_tasks::PageText;

/// Ends a page in plain text, as for printers and pagers.
const FORM_FEED: char = '\u{C}';

/// Writes the text of a page and a form feed. A page without text is empty.
pub(crate) fn write_text(out: &mut String, page: Option<&PageText>) {
    let text = page.map_or_else(String::new, PageText::text);
    if !text.is_empty() {
        out.push_str(&text);
        out.push('\n');
    }
    out.push(FORM_FEED);
}

#[cfg(test)]
pub(crate) mod tests {
    use quire_tasks::{EngineName, Line, ModeName, Polygon};

    use super::*;
    use crate::{TextFormat, text_writer::tests::write_all};

    pub(crate) fn line(text: &str, confidence: f32, polygon: Polygon) -> Line {
        Line { text: text.to_owned(), confidence: Some(confidence), polygon: Some(polygon), ..Line::default() }
    }

    /// A page of 1000 × 1400 pixels.
    pub(crate) fn page(lines: Vec<Line>) -> PageText {
        let engine: EngineName = "test@1".parse().expect("a valid engine name");
        PageText::from_lines(engine, 1000, 1400, 0, lines)
    }

    #[test]
    fn plain_text_has_a_form_feed_for_every_page() {
        let read = page(vec![line("Total", 0.9, [[0.0; 2]; 4]), line("发票", 0.9, [[0.0; 2]; 4])]);
        let pages = [Some(&read), None, Some(&read)];
        assert_eq!(write_all(TextFormat::Text, "", &pages), "Total\n发票\n\u{C}\u{C}Total\n发票\n\u{C}");
    }

    #[test]
    fn markdown_is_kept_and_plain_text_is_escaped() {
        let plain = page(vec![line("1. *Total* <b>", 0.9, [[0.0; 2]; 4]), line("- 7", 0.9, [[0.0; 2]; 4])]);
        let read = PageText { mode: ModeName::Markdown, ..page(vec![line("# *Total*", 0.9, [[0.0; 2]; 4])]) };
        let expected = "1\\. \\*Total\\* \\<b>\\\n\\- 7\n\n---\n\n# *Total*\n";
        assert_eq!(write_all(TextFormat::Markdown, "", &[Some(&plain), Some(&read)]), expected);
    }
}
