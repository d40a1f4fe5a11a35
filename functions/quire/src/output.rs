//! What `quire read` prints.

use std::io::{self, Write};

use quire_submit::{DocumentAnswer, PageAnswer};
use quire_tasks::{FallbackReason, ModeName, PageText, Warning};

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
            page_markdown(out, page)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

/// What was read as markup stays markup; anything else is text as it stands.
fn page_markdown(out: &mut impl Write, page: &PageAnswer) -> io::Result<()> {
    let text = page.text.as_deref().unwrap_or_default();
    match page.read.as_ref() {
        Some(PageText { fields: Some(fields), .. }) => {
            writeln!(out, "```json\n{}\n```", serde_json::to_string_pretty(fields)?)
        }
        Some(PageText { mode: ModeName::Markdown | ModeName::Table | ModeName::Formula, .. }) => {
            writeln!(out, "{text}")
        }
        // Two spaces: a line of its own within the paragraph.
        _ => text.lines().try_for_each(|line| writeln!(out, "{}  ", escape(line))),
    }
}

/// What is to be known of a page that was read: who did it where several were asked, and what its text may lack.
pub(crate) fn remarks(page: &PageText) -> Option<String> {
    let engine = (!page.tried.is_empty()).then(|| format!("read by {}", page.engine));
    let tried = page.tried.iter().map(|tried| {
        let why = match (tried.why, tried.code) {
            (FallbackReason::Unavailable, _) => "was not available".to_owned(),
            (FallbackReason::Failed, None) => "failed".to_owned(),
            (FallbackReason::Failed, Some(code)) => format!("failed: {}", code.as_str()),
            (FallbackReason::LessSure, _) => "was less sure".to_owned(),
        };
        format!("{} {why}", tried.engine)
    });
    let warnings = page.warnings.iter().map(|warning| match warning {
        Warning::CutOff => "the answer was cut off: there may be more on the page".to_owned(),
        Warning::Repetition => "the model repeated itself and was stopped: there may be more on the page".to_owned(),
        Warning::OtherForm => "the answer is not in the form that the mode asks for".to_owned(),
    });
    let remarks: Vec<String> = engine.into_iter().chain(tried).chain(warnings).collect();
    (!remarks.is_empty()).then(|| remarks.join("; "))
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
    use quire_tasks::{FailureCode, Line, PageStatus, TriedEngine};

    use super::*;

    fn read(mode: ModeName, text: &str) -> PageText {
        let line = Line { text: text.to_owned(), confidence: None, polygon: None };
        PageText { mode, ..PageText::from_lines("b@1".parse().expect("a name"), 1, 1, 0, vec![line]) }
    }

    fn printed(read: PageText) -> String {
        let text = Some(read.text());
        let (status, confidence, needs_review, error) = (PageStatus::Succeeded, None, false, None);
        let page = PageAnswer { page: 1, status, text, confidence, needs_review, read: Some(read), error };
        let mut out = Vec::new();
        page_markdown(&mut out, &page).expect("memory takes it");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn markup_stays_markup_and_text_stays_text() {
        assert_eq!(printed(read(ModeName::Markdown, "# A *b*")), "# A *b*\n");
        assert_eq!(printed(read(ModeName::Table, "<table></table>")), "<table></table>\n");
        assert_eq!(printed(read(ModeName::Text, "# A *b*")), "\\# A \\*b\\*  \n");
        let fields = serde_json::from_str(r#"{"total": "7"}"#).expect("JSON");
        let page = PageText { fields: Some(fields), ..read(ModeName::Fields, "x") };
        assert_eq!(printed(page), "```json\n{\n  \"total\": \"7\"\n}\n```\n");
    }

    #[test]
    fn a_page_says_who_else_was_asked_and_what_may_lack() {
        assert_eq!(remarks(&read(ModeName::Text, "a")), None);
        let tried = |why, code| TriedEngine { engine: "a@1".parse().expect("a name"), why, code, confidence: None };
        let failed = PageText {
            tried: vec![tried(FallbackReason::Failed, Some(FailureCode::TimedOut))],
            ..read(ModeName::Text, "a")
        };
        assert_eq!(remarks(&failed).as_deref(), Some("read by b@1; a@1 failed: timed_out"));
        let (tried, warnings) = (vec![tried(FallbackReason::LessSure, None)], vec![Warning::CutOff]);
        let both = PageText { tried, warnings, ..read(ModeName::Text, "a") };
        let said = "read by b@1; a@1 was less sure; the answer was cut off: there may be more on the page";
        assert_eq!(remarks(&both).as_deref(), Some(said));
    }

    #[test]
    fn what_was_read_is_not_taken_for_markup() {
        assert_eq!(escape("# 1 *bold* <b>"), "\\# 1 \\*bold\\* \\<b>");
        assert_eq!(escape("12. item 3.5"), "12\\. item 3.5");
        assert_eq!(escape("发票 No. 7"), "发票 No. 7");
    }
}
