//! Redaction of recognized text: email addresses, phone and card numbers, and custom patterns. Pure: no I/O, no clock.
//!
//! Full-width and other Unicode digits count as digits, and invisible characters are ignored. Numbers may be separated
//! by spaces, dashes and dots, and may be broken over two lines.
//!
//! | kind | matches |
//! | --- | --- |
//! | `email` | the address around an `@`, also with spaces beside the `@` and the dots, or with a missing dot |
//! | `phone` | phone numbers in the forms listed below |
//! | `bank_card` | 12 to 19 digits in a card network's range, with a valid Luhn check digit |
//! | `iban` | IBANs with the length of their country and valid check digits |
//! | `cn_id` | Chinese identity numbers of 18 characters with a valid region, date and check character; not of 15 |
//!
//! Phone numbers:
//!
//! - with `+` and a country code;
//! - after a word such as `Tel`, `Fax` or `电话`;
//! - Chinese mobile numbers, and Chinese landline and 400 numbers with a separate area code;
//! - national numbers in the forms `(415) 555-2671`, `415-555-2671`, `020 7946 0958`, `01 23 45 67 89`, `(030) 901820`
//!   and `0049 30 901820`, unless a word such as `Invoice No.` precedes them.
//!
//! A custom pattern is matched against each line separately, both as it is and with full-width characters normalized.

#![warn(missing_docs)]

mod card;
mod cn_id;
mod digits;
mod email;
mod fields;
mod iban;
mod part_polygon;
mod phone;
mod placeholder;
mod policy;
mod search_text;
mod text_size;

use quire_tasks::{Line, PageText, RedactKind, RedactPolicy, Redaction};

use placeholder::RedactedLine;
use policy::CompiledPattern;
pub use policy::{InvalidRedactPolicy, MAX_NAME_CHARS};
use search_text::{SearchText, Span, merge_spans, normalize};

/// The most text of a page that is searched, in bytes. It is far more than any real page has.
pub const MAX_CHARS: usize = 1_000_000;

/// Why a page could not be redacted. Decision: fail the page and store nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedactError {
    /// It has more than [`MAX_CHARS`] of text.
    #[error("the page has more than {MAX_CHARS} characters")]
    TooLong,
}

/// A compiled redaction policy.
///
/// ```
/// use quire_redact::Redactor;
/// use quire_tasks::{Line, PageText, RedactKind, RedactPattern, RedactPolicy};
///
/// let order = RedactPattern { name: "order".to_owned(), regex: r"A-\d{4}".to_owned() };
/// let policy = RedactPolicy { kinds: vec![RedactKind::Email, RedactKind::Iban], patterns: vec![order] };
/// let redactor = Redactor::new(&policy)?;
///
/// let text = "Order A-1234: pay to DE89 3704 0044 0532 0130 00, questions to sales@example.com".to_owned();
/// let line = Line { text, confidence: Some(0.97), polygon: None };
/// let mut page = PageText::from_lines("pp-ocr@6".parse()?, 1240, 1754, 0, vec![line]);
/// redactor.redact(&mut page)?;
///
/// assert_eq!(page.text(), "Order [order]: pay to [iban], questions to [email]");
/// assert_eq!(page.redactions.map(|redactions| redactions.len()), Some(3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Redactor {
    kinds: Vec<RedactKind>,
    patterns: Vec<CompiledPattern>,
    /// The placeholders of this policy's kinds and patterns.
    placeholders: Vec<String>,
}

impl Redactor {
    /// Validates and compiles a policy.
    ///
    /// # Errors
    /// Fails with [`InvalidRedactPolicy`], which names the invalid part.
    pub fn new(policy: &RedactPolicy) -> Result<Self, InvalidRedactPolicy> {
        let patterns = policy::compile_patterns(policy)?;
        let kind_names = policy.kinds.iter().map(|kind| kind.as_str());
        let pattern_names = patterns.iter().map(|pattern| pattern.name.as_str());
        let placeholders = kind_names.chain(pattern_names).map(placeholder::placeholder).collect();
        Ok(Self { kinds: policy.kinds.clone(), patterns, placeholders })
    }

    /// Replaces all matches in the lines and fields with placeholders, and lists them in the page's `redactions`, which
    /// replaces the previous list. Idempotent: a second call changes no text.
    ///
    /// # Errors
    /// Fails with [`RedactError`] and leaves the page unchanged. Nothing of the page may be stored then.
    pub fn redact(&self, page: &mut PageText) -> Result<(), RedactError> {
        if text_size::text_bytes(page) > MAX_CHARS {
            return Err(RedactError::TooLong);
        }
        let mut redactions = Vec::new();
        let texts: Vec<&str> = page.lines.iter().map(|line| line.text.as_str()).collect();
        let redacted_lines = self.redact_lines(&texts);
        for (number, (line, redacted)) in (0..).zip(page.lines.iter_mut().zip(redacted_lines)) {
            if let Some(redacted) = redacted {
                redactions.extend(list_redactions(number, line, &redacted));
                line.text = redacted.text;
            }
        }
        if let Some(fields) = &mut page.fields {
            self.redact_fields(fields, &mut redactions);
        }
        page.redactions = Some(redactions);
        Ok(())
    }

    /// Returns each line after redaction, or `None` for one without matches.
    pub(crate) fn redact_lines(&self, lines: &[&str]) -> Vec<Option<RedactedLine>> {
        let text = SearchText::new(lines, |line| placeholder::find_placeholders(line, &self.placeholders));
        let mut spans = self.find_kinds(&text);
        for (number, line) in lines.iter().enumerate() {
            self.find_patterns(number, line, &text, &mut spans);
        }
        let spans = merge_spans(spans);
        let numbered = lines.iter().enumerate();
        numbered.map(|(number, line)| placeholder::redact_line(line, &text.ranges_in_line(number, &spans))).collect()
    }

    fn find_kinds(&self, text: &SearchText) -> Vec<Span> {
        let chars = &text.chars;
        let runs = digits::find_runs(chars);
        let mut spans = Vec::new();
        for kind in &self.kinds {
            let mut found = |start, end| spans.push(text.span(start, end, kind.as_str()));
            match kind {
                RedactKind::Email => email::find(chars, &mut found),
                RedactKind::Iban => iban::find(chars, &mut found),
                RedactKind::Phone => runs.iter().for_each(|run| phone::find(chars, run, &mut found)),
                RedactKind::BankCard => runs.iter().for_each(|run| card::find(chars, run, &mut found)),
                RedactKind::CnId => runs.iter().for_each(|run| cn_id::find(chars, run, &mut found)),
            }
        }
        spans
    }

    /// Adds the matches of the custom patterns in one line, as it is and normalized. A match inside the placeholder of
    /// an earlier redaction is ignored; one that overlaps a placeholder replaces it.
    fn find_patterns(&self, number: usize, line: &str, text: &SearchText, spans: &mut Vec<Span>) {
        if self.patterns.is_empty() {
            return;
        }
        let placeholders = placeholder::find_placeholders(line, &self.placeholders);
        let original_positions: Vec<usize> = (0..line.chars().count()).collect();
        let (normalized, positions) = normalize_line(line);
        let mut variants = vec![(line, &original_positions)];
        if normalized != line {
            variants.push((normalized.as_str(), &positions));
        }
        for CompiledPattern { name, regex } in &self.patterns {
            for (variant, positions) in &variants {
                let matches = regex.find_iter(variant).map(|found| found.range());
                for (start, end) in placeholder::to_char_ranges(variant, matches) {
                    let (start, end) = (positions[start], positions[end - 1] + 1);
                    if placeholders.iter().any(|(from, to)| *from <= start && end <= *to) {
                        continue;
                    }
                    spans.push(text.span_in_line(number, start, end, name));
                    let overlapping = placeholders.iter().filter(|(from, to)| *from < end && start < *to);
                    spans.extend(overlapping.map(|(from, to)| text.span_in_line(number, *from, *to, name)));
                }
            }
        }
    }
}

/// Returns the normalized line, and the original position of each of its characters.
fn normalize_line(line: &str) -> (String, Vec<usize>) {
    let normalized = line.chars().enumerate().filter_map(|(index, character)| Some((normalize(character)?, index)));
    normalized.unzip()
}

fn list_redactions(number: u32, line: &Line, redacted: &RedactedLine) -> Vec<Redaction> {
    let original: Vec<char> = line.text.chars().collect();
    let polygon_of = |part: &placeholder::Replacement| {
        let polygon = line.polygon.as_ref()?;
        Some(part_polygon::part_polygon(polygon, &original, part.original.start, part.original.end))
    };
    let list = redacted.replacements.iter().map(|part| Redaction {
        kind: part.kind.clone(),
        line: Some(number),
        field: None,
        start: part.placeholder.start as u32,
        end: part.placeholder.end as u32,
        polygon: polygon_of(part),
    });
    list.collect()
}
