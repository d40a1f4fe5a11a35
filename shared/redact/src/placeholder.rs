//! Replacing matches with placeholders.

use std::ops::Range;

/// Returns the text that replaces a match of this kind.
pub(crate) fn placeholder(kind: &str) -> String {
    format!("[{kind}]")
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
    fn placeholders_of_an_earlier_redaction_are_found() {
        let placeholders = ["email", "x"].map(placeholder);
        assert_eq!(find_placeholders("é[x] [y] [email]", &placeholders), [(1, 4), (9, 16)]);
    }
}
