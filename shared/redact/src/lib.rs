//! Redaction of recognized text: email addresses, phone and card numbers, and custom patterns. Pure: no I/O, no clock.
//!
//! A number that a reader sees as one is found as one. The digits of all scripts count as digits, compatible characters
//! are unified (NFKC), and invisible ones are ignored. Numbers may be separated by spaces, dashes and dots, and may be
//! broken over two lines. They may be split over boxes beside each other, or groups above each other, by the positions
//! of the lines; over characters in boxes of their own; over cells of a table; and over several fields. The markup of
//! HTML, Markdown and LaTeX is ignored and stays: each part of a number that it divides is replaced. What is found once
//! is replaced everywhere on the page.
//!
//! | kind | matches |
//! | --- | --- |
//! | `email` | the address around an `@` or `(at)`, also with spaces beside the `@` and the dots, or with a missing dot
//! |
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
//! A custom pattern is matched against each line and each value separately: as it is, normalized, and without markup.

#![warn(missing_docs)]

mod card;
mod cn_id;
mod digits;
mod email;
mod geometry;
mod iban;
mod joined;
mod known;
mod markup;
mod page_views;
mod part_polygon;
mod phone;
mod placeholder;
mod policy;
mod text_size;
mod texts;
mod unicode;
mod view;

use quire_tasks::{PageText, RedactKind, RedactPolicy};

use known::KnownValues;
use page_views::PageViews;
use policy::CompiledPattern;
pub use policy::{InvalidRedactPolicy, MAX_NAME_CHARS};
use texts::{EditedText, read_texts, write_texts};
use view::{Place, Span, View, merge_spans};

/// The most text of a page that is searched, in bytes. It is far more than any real page has.
pub const MAX_CHARS: usize = 1_000_000;

/// The most times that a page is searched again after replacements.
const MAX_PASSES: usize = 8;

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
/// let line = Line { text, confidence: Some(0.97), polygon: None, ..Line::default() };
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
        let mut texts = read_texts(page);
        // A replacement may complete another match, e.g. at the end of what is then a shorter row of numbers.
        for _ in 0..MAX_PASSES {
            let spans = self.find_spans(&texts);
            if spans.is_empty() {
                break;
            }
            for ranges in spans.chunk_by(|a, b| a.place.text == b.place.text) {
                let text = ranges[0].place.text;
                let ranges: Vec<_> =
                    ranges.iter().map(|span| (span.place.start, span.place.end, span.kind.as_str())).collect();
                texts[text].replace(&ranges);
            }
        }
        write_texts(page, &texts);
        Ok(())
    }

    /// Returns all matches outside of the placeholders of earlier redactions, in order.
    fn find_spans(&self, texts: &[EditedText]) -> Vec<Span> {
        let page = PageViews::new(texts, &self.placeholders);
        let views = page.all();
        let mut spans = Vec::new();
        let mut known = KnownValues::default();
        for view in &views {
            self.find_kinds(view, &mut spans, &mut known);
        }
        for view in &views {
            known.find(view, &mut spans);
        }
        if !self.patterns.is_empty() {
            (0..texts.len()).for_each(|text| self.find_patterns(&page, text, &texts[text], &mut spans));
        }
        merge_spans(spans)
    }

    fn find_kinds(&self, view: &View, spans: &mut Vec<Span>, known: &mut KnownValues) {
        let chars = &view.characters();
        let runs = digits::find_runs(chars);
        for kind in &self.kinds {
            let mut found = |start: usize, end: usize| {
                let places = view.places(start, end);
                if !places.is_empty() {
                    known.add(kind.as_str(), &chars[start..end]);
                }
                spans.extend(places.into_iter().map(|place| Span { place, kind: kind.as_str().to_owned() }));
            };
            match kind {
                RedactKind::Email => email::find(chars, &mut found),
                RedactKind::Iban => iban::find(chars, &mut found),
                RedactKind::Phone => runs.iter().for_each(|run| phone::find(chars, run, &mut found)),
                RedactKind::BankCard => runs.iter().for_each(|run| card::find(chars, run, &mut found)),
                RedactKind::CnId => runs.iter().for_each(|run| cn_id::find(chars, run, &mut found)),
            }
        }
    }

    /// Adds the matches of the custom patterns in one text: as it is, normalized, and without markup. A match inside
    /// the placeholder of an earlier redaction is ignored; one that overlaps a placeholder replaces it.
    fn find_patterns(&self, page: &PageViews<'_>, text: usize, edited: &EditedText, spans: &mut Vec<Span>) {
        let original = edited.text();
        let placeholders = page.placeholders(text);
        let mut add = |place: Place, name: &str| {
            if placeholders.iter().any(|(from, to)| *from <= place.start && place.end <= *to) {
                return;
            }
            let overlapping = placeholders.iter().filter(|(from, to)| *from < place.end && place.start < *to);
            let overlapping = overlapping.map(|(start, end)| Place { text, start: *start, end: *end });
            spans.extend(overlapping.chain([place]).map(|place| Span { place, kind: name.to_owned() }));
        };
        let mut variants: Vec<(String, View)> = Vec::new();
        for view in page.of_text(text) {
            let variant: String = view.characters().into_iter().collect();
            if variant != original && !variants.iter().any(|(other, _)| *other == variant) {
                variants.push((variant, view));
            }
        }
        for CompiledPattern { name, regex } in &self.patterns {
            let matches = regex.find_iter(&original).map(|found| found.range());
            for (start, end) in placeholder::to_char_ranges(&original, matches) {
                add(Place { text, start, end }, name);
            }
            for (variant, view) in &variants {
                let matches = regex.find_iter(variant).map(|found| found.range());
                for (start, end) in placeholder::to_char_ranges(variant, matches) {
                    view.all_places(start, end).into_iter().for_each(|place| add(place, name));
                }
            }
        }
    }
}
