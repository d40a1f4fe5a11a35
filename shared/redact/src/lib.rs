//! Takes out of what was read what nobody is to keep: e-mail addresses, telephone and card numbers, and what customers
//! name by patterns of their own. Pure: no I/O, no clock.
//!
//! What is found, by kind. Full-width and other digits count as digits, and what is not seen does not count. Numbers may be
//! set apart by spaces, dashes and dots, and broken over two lines.
//!
//! | kind | found |
//! | --- | --- |
//! | `email` | what stands around an `@`, with spaces beside the `@` and the dots, and where the dot was not read |
//! | `phone` | numbers with `+` and a country's code; numbers after a word such as `Tel`, `Fax` or `电话`; Chinese mobile numbers, and landlines and 400 numbers with the area set apart; national numbers written as `(415) 555-2671`, `415-555-2671`, `020 7946 0958`, `01 23 45 67 89`, `(030) 901820` or `0049 30 901820`, unless a word such as `Invoice No.` stands before them |
//! | `bank_card` | 12 to 19 digits that begin like a network's, are as long as those are, and right by Luhn's formula |
//! | `iban` | numbers of a country's length whose check digits are right |
//! | `cn_id` | 18 characters with a province, a date and the right check character; not those of 15 digits |
//!
//! A customer's pattern is looked for in each line by itself, as it stands and with full-width characters made plain.

#![warn(missing_docs)]

mod card;
mod cn_id;
mod digits;
mod email;
mod fields;
mod iban;
mod phone;
mod place;
mod policy;
mod replace;
mod searched;

use quire_tasks::{PageText, RedactKind, RedactPolicy, Redaction};

use policy::Pattern;
pub use policy::{InvalidPolicy, MAX_NAME_CHARS};
use replace::Replaced;
use searched::{Searched, Span, fold, merged};

/// The most characters of a page that are searched: far more than any page has.
pub const MAX_CHARS: usize = 1_000_000;

/// Why a page could not be searched. Decision: nothing of it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// It has more text than is searched.
    #[error("the page has more than {MAX_CHARS} characters")]
    TooLong,
}

/// A policy, ready to be applied.
#[derive(Debug, Clone)]
pub struct Redactor {
    kinds: Vec<RedactKind>,
    patterns: Vec<Pattern>,
    /// What this policy puts in place of what it finds.
    placeholders: Vec<String>,
}

impl Redactor {
    /// Checks and compiles a policy.
    ///
    /// # Errors
    /// [`InvalidPolicy`]: which part of it is not taken, and why.
    pub fn new(policy: &RedactPolicy) -> Result<Self, InvalidPolicy> {
        let patterns = policy::compile(policy)?;
        let names = policy.kinds.iter().map(|kind| kind.as_str()).chain(patterns.iter().map(|it| it.name.as_str()));
        let placeholders = names.map(replace::placeholder).collect();
        Ok(Self { kinds: policy.kinds.clone(), patterns, placeholders })
    }

    /// Replaces what the policy names, in the lines and in the fields, and reports it in the page's `redactions`, in place of
    /// what was reported there before.
    ///
    /// # Errors
    /// [`Failed`]: then nothing of the page may be kept, and it is as it was.
    pub fn redact(&self, page: &mut PageText) -> Result<(), Failed> {
        let characters: usize = page.lines.iter().map(|line| line.text.len()).sum();
        if characters + page.fields.as_ref().map_or(0, fields::size) > MAX_CHARS {
            return Err(Failed::TooLong);
        }
        let mut report = Vec::new();
        let texts: Vec<&str> = page.lines.iter().map(|line| line.text.as_str()).collect();
        let replaced = self.replaced(&texts);
        for (number, (line, replaced)) in (0..).zip(page.lines.iter_mut().zip(replaced)) {
            let Some(replaced) = replaced else { continue };
            let before: Vec<char> = line.text.chars().collect();
            report.extend(replaced.parts.iter().map(|part| Redaction {
                kind: part.kind.clone(),
                line: Some(number),
                field: None,
                start: part.start as u32,
                end: part.end as u32,
                polygon: line.polygon.map(|polygon| place::part(&polygon, &before, part.from, part.to)),
            }));
            line.text = replaced.text;
        }
        if let Some(values) = &mut page.fields {
            self.redact_fields(values, &mut report);
        }
        page.redactions = Some(report);
        Ok(())
    }

    /// Each line with what is to stand in it; nothing for those that stay as they are.
    pub(crate) fn replaced(&self, lines: &[&str]) -> Vec<Option<Replaced>> {
        let searched = Searched::new(lines, |line| replace::placeholders_in(line, &self.placeholders));
        let mut spans = self.known(&searched);
        for (number, line) in lines.iter().enumerate() {
            self.custom(number, line, &searched, &mut spans);
        }
        let spans = merged(spans);
        let each = lines.iter().enumerate();
        each.map(|(number, line)| replace::replaced(line, &searched.of_line(number, &spans))).collect()
    }

    fn known(&self, searched: &Searched) -> Vec<Span> {
        let (chars, mut spans) = (&searched.chars, Vec::new());
        let runs = digits::runs(chars);
        for kind in &self.kinds {
            let mut found = |start, end| spans.push(searched.span(start, end, kind.as_str()));
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

    /// What a customer's own patterns find in a line. What lies within a placeholder was taken out before.
    fn custom(&self, number: usize, line: &str, searched: &Searched, spans: &mut Vec<Span>) {
        if self.patterns.is_empty() {
            return;
        }
        let taken = replace::placeholders_in(line, &self.placeholders);
        let (folded, at): (String, Vec<usize>) =
            line.chars().enumerate().filter_map(|(index, character)| Some((fold(character)?, index))).unzip();
        let as_it_stands: Vec<usize> = (0..line.chars().count()).collect();
        for Pattern { name, regex } in &self.patterns {
            let variants = [(line, &as_it_stands), (folded.as_str(), &at)];
            let different = if folded == line { 1 } else { 2 };
            for (text, at) in &variants[..different] {
                for (start, end) in replace::char_ranges(text, regex.find_iter(text).map(|found| found.range())) {
                    let (start, end) = (at[start], at[end - 1] + 1);
                    if !taken.iter().any(|(from, to)| *from <= start && end <= *to) {
                        spans.push(searched.span_in(number, start, end, name));
                        let touched = taken.iter().filter(|(from, to)| *from < end && start < *to);
                        spans.extend(touched.map(|(from, to)| searched.span_in(number, *from, *to, name)));
                    }
                }
            }
        }
    }
}
