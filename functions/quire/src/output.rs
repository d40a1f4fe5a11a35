//! The output of `quire read`.

use std::{
    borrow::Cow,
    io::{self, IsTerminal, Write},
};

use quire_formats::{TextFormat, TextWriter, aligned_text};
use quire_submit::DocumentAnswer;
use quire_tasks::{FallbackReason, PageText, TriedEngine};
use quire_telemetry::terminal::{escape_json, escape_line, escape_text, replace_controls};

use crate::cli::OutputFormat;

/// Prints documents to standard output.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn print(documents: &[DocumentAnswer], format: OutputFormat, is_aligned: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(render(documents, format, is_aligned, out.is_terminal())?.as_bytes())?;
    out.flush()
}

/// Returns the output, without what could control a terminal.
///
/// JSON is escaped, which does not change its content. In text, control characters are replaced: no text needs them,
/// and a pipe may end at a terminal, too. Bidirectional controls belong to some languages' text, so that they are only
/// escaped on a terminal.
fn render(
    documents: &[DocumentAnswer],
    format: OutputFormat,
    is_aligned: bool,
    is_terminal: bool,
) -> io::Result<String> {
    let mut out = Vec::new();
    match format {
        OutputFormat::Json => {
            let json = serde_json::to_string_pretty(documents)?;
            return Ok(format!("{}\n", escape_json(&json)));
        }
        OutputFormat::Text => write_text(&mut out, documents, is_aligned)?,
        OutputFormat::Markdown => write_markdown(&mut out, documents)?,
        OutputFormat::Csv => write_csv(&mut out, documents)?,
    }
    let text = String::from_utf8(out).map_err(io::Error::other)?;
    let safe = |text: &str| if is_terminal { escape_text(text) } else { replace_controls(text) }.into_owned();
    // Lines of CSV end in CRLF (RFC 4180).
    let is_csv = format == OutputFormat::Csv;
    Ok(if is_csv { text.split("\r\n").map(safe).collect::<Vec<_>>().join("\r\n") } else { safe(&text) })
}

/// Writes the text alone; for several files, each below its name in the style of `head`.
fn write_text(out: &mut impl Write, documents: &[DocumentAnswer], is_aligned: bool) -> io::Result<()> {
    for (index, document) in documents.iter().enumerate() {
        if documents.len() > 1 {
            let gap = if index == 0 { "" } else { "\n" };
            writeln!(out, "{gap}==> {} <==", file_name(document))?;
        }
        let aligned = is_aligned.then(|| {
            let pages = document.pages.iter().filter_map(|page| page.read.as_ref()).map(aligned_text);
            pages.collect::<Vec<_>>().join("\n\n")
        });
        if let Some(text) = aligned.as_deref().or(document.text.as_deref()).filter(|text| !text.is_empty()) {
            writeln!(out, "{text}")?;
        }
    }
    Ok(())
}

/// Writes the documents as Markdown; for several files, each below a heading with its name.
fn write_markdown(out: &mut impl Write, documents: &[DocumentAnswer]) -> io::Result<()> {
    for (index, document) in documents.iter().enumerate() {
        if documents.len() > 1 {
            let gap = if index == 0 { "" } else { "\n" };
            writeln!(out, "{gap}# {}\n", escape_markdown(&file_name(document)))?;
        }
        if let Some(error) = &document.error {
            writeln!(out, "> {}", escape_markdown(&error.message))?;
        }
        write_pages(out, document)?;
    }
    Ok(())
}

/// Writes the pages of a document, and why one could not be read.
fn write_pages(out: &mut impl Write, document: &DocumentAnswer) -> io::Result<()> {
    let mut writer = TextWriter::new(TextFormat::Markdown);
    for page in &document.pages {
        match (&page.error, page.read.as_ref()) {
            (Some(error), _) => {
                out.write_all(writer.end_document().as_bytes())?;
                writeln!(out, "\n> Page {}: {}", page.page, escape_markdown(&error.message))?;
            }
            (None, Some(PageText { fields: Some(fields), .. })) => {
                out.write_all(writer.end_document().as_bytes())?;
                writeln!(out, "```json\n{}\n```", serde_json::to_string_pretty(fields)?)?;
            }
            (None, read) => out.write_all(writer.page(read).as_bytes())?,
        }
    }
    out.write_all(writer.end().as_bytes())
}

/// Writes the tables of the documents.
fn write_csv(out: &mut impl Write, documents: &[DocumentAnswer]) -> io::Result<()> {
    let mut writer = TextWriter::new(TextFormat::Csv);
    for document in documents {
        for page in &document.pages {
            out.write_all(writer.page(page.read.as_ref()).as_bytes())?;
        }
        out.write_all(writer.end_document().as_bytes())?;
    }
    out.write_all(writer.end().as_bytes())
}

/// Returns remarks about a page that was read: the engines, if several were asked, and warnings.
pub(crate) fn format_remarks(page: &PageText) -> Option<String> {
    let mut remarks = Vec::new();
    if !page.tried.is_empty() {
        remarks.push(format!("read by {}", page.engine));
    }
    remarks.extend(page.script_engines.iter().map(|engine| format!("some lines were read by {engine}")));
    remarks.extend(page.tried.iter().map(describe_tried));
    remarks.extend(page.warnings.iter().map(|warning| warning.kind.to_string()));
    if remarks.is_empty() { None } else { Some(remarks.join("; ")) }
}

fn describe_tried(tried: &TriedEngine) -> String {
    let engine = &tried.engine;
    match (tried.why, tried.code) {
        (FallbackReason::Unavailable, _) => format!("{engine} was not available"),
        (FallbackReason::Failed, None) => format!("{engine} failed"),
        (FallbackReason::Failed, Some(code)) => format!("{engine} failed: {}", code.as_str()),
        (FallbackReason::LessSure, _) => format!("{engine} had a lower confidence"),
    }
}

/// Returns the file's name on one line.
fn file_name(document: &DocumentAnswer) -> Cow<'_, str> {
    escape_line(document.file.as_deref().unwrap_or("document"))
}

/// Escapes text so that Markdown renders it literally.
fn escape_markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (index, c) in text.char_indices() {
        let starts_block = index == 0 && matches!(c, '#' | '+' | '-' | '=' | '~' | '>');
        let prefix = &text[..index];
        let ends_list_number = c == '.' && !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        if starts_block || ends_list_number || matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '|') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use quire_submit::PageAnswer;
    use quire_tasks::{FailureCode, Line, ModeName, PageStatus, TaskStatus, WarningKind};

    use super::*;

    fn page_text(mode: ModeName, text: &str) -> PageText {
        let line = Line { text: text.to_owned(), confidence: None, polygon: None, ..Line::default() };
        let engine = "b@1".parse().expect("a valid engine name");
        PageText { mode, ..PageText::from_lines(engine, 1, 1, 0, vec![line]) }
    }

    fn to_markdown(read: PageText) -> String {
        let page = PageAnswer {
            page: 1,
            status: PageStatus::Succeeded,
            text: Some(read.text()),
            confidence: None,
            needs_review: false,
            read: Some(read),
            error: None,
        };
        let document = DocumentAnswer {
            task_id: None,
            document: 1,
            file: None,
            status: TaskStatus::Succeeded,
            text: None,
            avg_confidence: None,
            pages: vec![page],
            error: None,
        };
        render(&[document], OutputFormat::Markdown, false, false).expect("writing to memory succeeds")
    }

    #[test]
    fn markup_is_printed_as_it_is_and_text_is_escaped() {
        assert_eq!(to_markdown(page_text(ModeName::Markdown, "# A *b*")), "# A *b*\n");
        assert_eq!(to_markdown(page_text(ModeName::Table, "<table></table>")), "<table></table>\n");
        assert_eq!(to_markdown(page_text(ModeName::Text, "# A *b*")), "\\# A \\*b\\*\n");
        let fields = serde_json::from_str(r#"{"total": "7"}"#).expect("valid JSON");
        let page = PageText { fields: Some(fields), ..page_text(ModeName::Fields, "x") };
        assert_eq!(to_markdown(page), "```json\n{\n  \"total\": \"7\"\n}\n```\n");
    }

    #[test]
    fn remarks_name_the_other_engines_and_the_warnings() {
        assert_eq!(format_remarks(&page_text(ModeName::Text, "a")), None);
        let tried = |why, code| {
            let engine = "a@1".parse().expect("a valid engine name");
            vec![TriedEngine { engine, why, code, confidence: None }]
        };
        let timed_out = tried(FallbackReason::Failed, Some(FailureCode::TimedOut));
        let failed = PageText { tried: timed_out, ..page_text(ModeName::Text, "a") };
        assert_eq!(format_remarks(&failed).as_deref(), Some("read by b@1; a@1 failed: timed_out"));
        let both = PageText {
            tried: tried(FallbackReason::LessSure, None),
            warnings: vec![WarningKind::CutOff.into()],
            ..page_text(ModeName::Text, "a")
        };
        let expected = "read by b@1; a@1 had a lower confidence; the answer was cut off: text may be missing";
        assert_eq!(format_remarks(&both).as_deref(), Some(expected));
    }

    #[test]
    fn text_is_not_rendered_as_markup() {
        assert_eq!(escape_markdown("# 1 *bold* <b>"), "\\# 1 \\*bold\\* \\<b>");
        assert_eq!(escape_markdown("12. item 3.5"), "12\\. item 3.5");
        assert_eq!(escape_markdown("发票 No. 7"), "发票 No. 7");
    }
}
