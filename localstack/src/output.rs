//! What `quire read` prints.

use std::io::{self, Write};

use quire_submit::DocumentAnswer;

use crate::cli::Format;

/// Prints documents to standard output.
///
/// # Errors
/// When nobody reads it any more.
pub(crate) fn print(documents: &[DocumentAnswer], format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, documents)?;
            writeln!(out)?;
        }
        Format::Text => text(&mut out, documents)?,
        Format::Markdown => markdown(&mut out, documents)?,
    }
    out.flush()
}

/// The text alone; of several files, each under its name as `head` does it.
fn text(out: &mut impl Write, documents: &[DocumentAnswer]) -> io::Result<()> {
    for (index, document) in documents.iter().enumerate() {
        if documents.len() > 1 {
            let gap = if index == 0 { "" } else { "\n" };
            writeln!(out, "{gap}==> {} <==", name(document))?;
        }
        if let Some(text) = document.text.as_deref().filter(|text| !text.is_empty()) {
            writeln!(out, "{text}")?;
        }
    }
    Ok(())
}

/// A heading for each file and page, and each line as it stands.
fn markdown(out: &mut impl Write, documents: &[DocumentAnswer]) -> io::Result<()> {
    for document in documents {
        writeln!(out, "# {}\n", escape(name(document)))?;
        if let Some(error) = &document.error {
            writeln!(out, "> {}\n", escape(&error.message))?;
        }
        for page in &document.pages {
            writeln!(out, "## Page {}\n", page.page)?;
            if let Some(error) = &page.error {
                writeln!(out, "> {}\n", escape(&error.message))?;
            }
            for line in page.text.iter().flat_map(|text| text.lines()) {
                // Two spaces: a line of its own within the paragraph.
                writeln!(out, "{}  ", escape(line))?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

fn name(document: &DocumentAnswer) -> &str {
    document.file.as_deref().unwrap_or("document")
}

/// Keeps what was read from being taken for markup.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (index, c) in text.char_indices() {
        let begins = index == 0 && matches!(c, '#' | '+' | '-' | '=' | '~' | '>');
        let numbers = c == '.' && !text[..index].is_empty() && text[..index].bytes().all(|b| b.is_ascii_digit());
        if begins || numbers || matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '|') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_not_taken_for_markup() {
        assert_eq!(escape("# 1 *bold* <b>"), "\\# 1 \\*bold\\* \\<b>");
        assert_eq!(escape("12. item 3.5"), "12\\. item 3.5");
        assert_eq!(escape("发票 No. 7"), "发票 No. 7");
    }
}
