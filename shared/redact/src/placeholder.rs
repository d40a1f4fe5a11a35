//! Replacing matches with placeholders.

use std::ops::Range;

/// A line after redaction.
#[derive(Debug)]
pub(crate) struct RedactedLine {
    pub(crate) text: String,
    pub(crate) replacements: Vec<Replacement>,
}

/// One replaced part of a line. All positions are in characters.
#[derive(Debug)]
pub(crate) struct Replacement {
    pub(crate) kind: String,
    /// The part in the original line.
    pub(crate) original: Range<usize>,
    /// The placeholder in the redacted line.
    pub(crate) placeholder: Range<usize>,
}

/// Returns the text that replaces a match of this kind.
pub(crate) fn placeholder(kind: &str) -> String {
    format!("[{kind}]")
}

/// Replaces these ranges (start, end, kind), which must be in order. Returns `None` if there are none.
pub(crate) fn redact_line(line: &str, ranges: &[(usize, usize, &str)]) -> Option<RedactedLine> {
    if ranges.is_empty() {
        return None;
    }
    let mut chars = line.chars();
    let mut consumed = 0;
    let mut written = 0;
    let mut redacted = RedactedLine { text: String::new(), replacements: Vec::new() };
    for &(start, end, kind) in ranges {
        redacted.text.extend(chars.by_ref().take(start - consumed));
        written += start - consumed;
        chars.by_ref().take(end - start).for_each(drop);
        consumed = end;
        let placeholder = placeholder(kind);
        let placeholder_end = written + placeholder.chars().count();
        redacted.text.push_str(&placeholder);
        redacted.replacements.push(Replacement {
            kind: kind.to_owned(),
            original: start..end,
            placeholder: written..placeholder_end,
        });
        written = placeholder_end;
    }
    redacted.text.extend(chars);
    Some(redacted)
}

/// Returns the ranges of these placeholders in a line, in characters and in order.
pub(crate) fn find_placeholders(line: &str, placeholders: &[String]) -> Vec<(usize, usize)> {
    if !line.contains('[') {
        return Vec::new();
    }
    let mut ranges = Vec::new();
    for placeholder in placeholders {
        let matches = line.match_indices(placeholder.as_str()).map(|(start, text)| start..start + text.len());
        ranges.extend(to_char_ranges(line, matches));
    }
    ranges.sort_unstable();
    ranges.dedup();
    ranges
}

/// Converts byte ranges, in order, to character ranges. Empty ranges are skipped.
pub(crate) fn to_char_ranges(text: &str, byte_ranges: impl Iterator<Item = Range<usize>>) -> Vec<(usize, usize)> {
    let mut bytes = 0;
    let mut characters = 0;
    let mut advance_to = |byte: usize| {
        characters += text[bytes..byte].chars().count();
        bytes = byte;
        characters
    };
    byte_ranges
        .filter(|range| !range.is_empty())
        .map(|range| (advance_to(range.start), advance_to(range.end)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_is_where_its_replacement_says() {
        let redacted = redact_line("电话1，2。", &[(2, 3, "phone"), (4, 5, "x")]).expect("two replacements");
        assert_eq!(redacted.text, "电话[phone]，[x]。");
        let ranges: Vec<_> = redacted.replacements.iter().map(|part| part.placeholder.clone()).collect();
        assert_eq!(ranges, [2..9, 10..13]);
    }

    #[test]
    fn placeholders_of_an_earlier_redaction_are_found() {
        let placeholders = ["email", "x"].map(placeholder);
        assert_eq!(find_placeholders("é[x] [y] [email]", &placeholders), [(1, 4), (9, 16)]);
    }
}
