//! Extracts HTML tables from an answer.

use std::ops::Range;

use super::parsed::{ModelAnswer, ParsedAnswer, shift_range};

/// Returns the tables of an answer without the surrounding text. The last one may be cut off.
pub(super) fn tables(answer: &ModelAnswer, body: Range<usize>) -> ParsedAnswer {
    // ASCII lowercasing keeps byte offsets.
    let text = answer.text[body.clone()].to_ascii_lowercase();
    let parts = parts(&text);
    if parts.is_empty() {
        let is_well_formed = text.trim().is_empty();
        return ParsedAnswer { is_well_formed, ..ParsedAnswer::from_lines(answer.lines(body)) };
    }
    ParsedAnswer::from_lines(parts.into_iter().flat_map(|part| answer.lines(shift_range(&part, body.start))))
}

/// Returns the ranges of the outermost tables.
fn parts(text: &str) -> Vec<Range<usize>> {
    const END: &str = "</table>";
    let mut parts = Vec::new();
    let mut open = 0_usize;
    let mut start = 0;
    for (at, _) in text.match_indices('<') {
        if begins(&text[at..]) {
            if open == 0 {
                start = at;
            }
            open += 1;
        } else if open > 0 && text[at..].starts_with(END) {
            open -= 1;
            if open == 0 {
                parts.push(start..at + END.len());
            }
        }
    }
    if open > 0 {
        parts.push(start..text.len());
    }
    parts
}

/// Returns whether a text starts with `<table>` or `<table border="1">`, but not e.g. `<tables>`.
fn begins(text: &str) -> bool {
    let after = text.strip_prefix("<table").map(|after| after.chars().next());
    after.is_some_and(|next| next.is_none_or(|next| next == '>' || next.is_whitespace()))
}
