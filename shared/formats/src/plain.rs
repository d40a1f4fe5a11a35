//! Plain text and Markdown.

use quire_tasks::{ModeName, PageText};

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

/// Writes a page as Markdown, with a horizontal rule before every page but the first. Text that the engine returned as
/// Markdown, HTML or LaTeX is written as it is; any other text is escaped, line by line.
pub(crate) fn write_markdown(out: &mut String, index: usize, page: Option<&PageText>) {
    if index > 0 {
        out.push_str("\n---\n\n");
    }
    if let Some(page) = page {
        out.push_str(&page_as_markdown(page));
    }
}

fn page_as_markdown(page: &PageText) -> String {
    if page.mode == ModeName::Formula {
        return format!("$$\n{}\n$$\n", page.text());
    }
    let is_markup = matches!(page.mode, ModeName::Markdown | ModeName::Table | ModeName::Translate);
    let mut out = String::new();
    for line in &page.lines {
        if is_markup {
            out.push_str(&line.text);
        } else {
            out.push_str(&escape_markdown(&line.text));
            // A backslash at the end of a line is a hard line break (CommonMark 6.7).
            out.push('\\');
        }
        out.push('\n');
    }
    out.trim_end_matches(['\\', '\n']).to_owned() + "\n"
}

/// Escapes the characters that Markdown would interpret, some of them only at the beginning of a line.
fn escape_markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    for (index, character) in text.char_indices() {
        let begins_block = index == 0 && matches!(character, '#' | '+' | '-' | '=' | '~' | '>');
        let numbers_list = digits > 0 && index == digits && matches!(character, '.' | ')');
        let is_inline_markup = matches!(character, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '|' | '$' | '&');
        if begins_block || numbers_list || is_inline_markup {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
pub(crate) mod tests {
    use quire_tasks::{EngineName, Line, Polygon};

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
