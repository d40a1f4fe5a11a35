//! Plain text and markdown.

use quire_tasks::ModeName;

use crate::FormatPage;

/// What ends a page in plain text: printers and pagers know it.
const FORM_FEED: char = '\u{C}';

/// The pages' texts, each ended by a form feed. A page that could not be read is empty.
pub fn text(pages: &[FormatPage<'_>]) -> String {
    let mut out = String::new();
    for page in pages {
        if let Some(text) = page.text.map(quire_tasks::PageText::text).filter(|text| !text.is_empty()) {
            out.push_str(&text);
            out.push('\n');
        }
        out.push(FORM_FEED);
    }
    out
}

/// The pages one after the other, with a rule between two. What was read as markdown, HTML or LaTeX stands as it was read,
/// everything else line by line and not taken for markup.
pub fn markdown(pages: &[FormatPage<'_>]) -> String {
    let texts = pages.iter().map(|page| page.text.map_or_else(String::new, page_as_markdown));
    texts.collect::<Vec<_>>().join("\n---\n\n")
}

fn page_as_markdown(page: &quire_tasks::PageText) -> String {
    let mut out = String::new();
    let is_markup = matches!(page.mode, ModeName::Markdown | ModeName::Table | ModeName::Translate);
    if page.mode == ModeName::Formula {
        return format!("$$\n{}\n$$\n", page.text());
    }
    for line in &page.lines {
        if is_markup {
            out.push_str(&line.text);
        } else {
            out.push_str(&escape(&line.text));
            // A backslash: a line of its own within the paragraph.
            out.push('\\');
        }
        out.push('\n');
    }
    out.trim_end_matches(['\\', '\n']).to_owned() + "\n"
}

/// Keeps what was read from being taken for markup.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    for (index, character) in text.char_indices() {
        let begins = index == 0 && matches!(character, '#' | '+' | '-' | '=' | '~' | '>');
        let numbers = digits > 0 && index == digits && matches!(character, '.' | ')');
        if begins || numbers || matches!(character, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '|' | '$' | '&') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
pub(crate) mod tests {
    use quire_tasks::{EngineName, Line, PageText, Polygon};

    use super::*;

    pub(crate) fn line(text: &str, confidence: f32, polygon: Polygon) -> Line {
        Line { text: text.to_owned(), confidence: Some(confidence), polygon: Some(polygon) }
    }

    /// A page of 1000 by 1400 pixels.
    pub(crate) fn page(lines: Vec<Line>) -> PageText {
        let engine: EngineName = "test@1".parse().expect("a name");
        PageText::of_lines(engine, 1000, 1400, 0, lines)
    }

    pub(crate) fn of(text: Option<&PageText>) -> FormatPage<'_> {
        FormatPage { document: 1, page: 1, text }
    }

    #[test]
    fn every_page_has_its_place_in_plain_text() {
        let read = page(vec![line("Total", 0.9, [[0.0; 2]; 4]), line("发票", 0.9, [[0.0; 2]; 4])]);
        assert_eq!(text(&[of(Some(&read)), of(None), of(Some(&read))]), "Total\n发票\n\u{C}\u{C}Total\n发票\n\u{C}");
    }

    #[test]
    fn markdown_stays_and_text_is_not_taken_for_it() {
        let plain = page(vec![line("1. *Total* <b>", 0.9, [[0.0; 2]; 4]), line("- 7", 0.9, [[0.0; 2]; 4])]);
        let read = PageText { mode: ModeName::Markdown, ..page(vec![line("# *Total*", 0.9, [[0.0; 2]; 4])]) };
        let expected = "1\\. \\*Total\\* \\<b>\\\n\\- 7\n\n---\n\n# *Total*\n";
        assert_eq!(markdown(&[of(Some(&plain)), of(Some(&read))]), expected);
    }
}
