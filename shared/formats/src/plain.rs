//! Plain text and markdown.

use quire_tasks::{ModeName, PageText};

/// What ends a page in plain text: printers and pagers know it.
const FORM_FEED: char = '\u{C}';

/// A page's text, ended by a form feed. A page that could not be read is empty.
pub(crate) fn text(out: &mut String, page: Option<&PageText>) {
    if let Some(text) = page.map(PageText::text).filter(|text| !text.is_empty()) {
        out.push_str(&text);
        out.push('\n');
    }
    out.push(FORM_FEED);
}

/// A page, with a rule between it and the one before. What was read as markdown, HTML or LaTeX stands as it was read,
/// everything else line by line and not taken for markup.
pub(crate) fn markdown(out: &mut String, index: usize, page: Option<&PageText>) {
    if index > 0 {
        out.push_str("\n---\n\n");
    }
    if let Some(page) = page {
        out.push_str(&page_as_markdown(page));
    }
}

fn page_as_markdown(page: &PageText) -> String {
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
    use quire_tasks::{EngineName, Line, Polygon};

    use super::*;
    use crate::{Form, scribe::tests::written};

    pub(crate) fn line(text: &str, confidence: f32, polygon: Polygon) -> Line {
        Line { text: text.to_owned(), confidence: Some(confidence), polygon: Some(polygon) }
    }

    /// A page of 1000 by 1400 pixels.
    pub(crate) fn page(lines: Vec<Line>) -> PageText {
        let engine: EngineName = "test@1".parse().expect("a name");
        PageText::from_lines(engine, 1000, 1400, 0, lines)
    }

    #[test]
    fn every_page_has_its_place_in_plain_text() {
        let read = page(vec![line("Total", 0.9, [[0.0; 2]; 4]), line("发票", 0.9, [[0.0; 2]; 4])]);
        let pages = [Some(&read), None, Some(&read)];
        assert_eq!(written(Form::Text, "", &pages), "Total\n发票\n\u{C}\u{C}Total\n发票\n\u{C}");
    }

    #[test]
    fn markdown_stays_and_text_is_not_taken_for_it() {
        let plain = page(vec![line("1. *Total* <b>", 0.9, [[0.0; 2]; 4]), line("- 7", 0.9, [[0.0; 2]; 4])]);
        let read = PageText { mode: ModeName::Markdown, ..page(vec![line("# *Total*", 0.9, [[0.0; 2]; 4])]) };
        let expected = "1\\. \\*Total\\* \\<b>\\\n\\- 7\n\n---\n\n# *Total*\n";
        assert_eq!(written(Form::Markdown, "", &[Some(&plain), Some(&read)]), expected);
    }
}
