//! Putting a placeholder where something was.

use std::ops::Range;

/// A line as it is to be kept.
#[derive(Debug)]
pub(crate) struct Replaced {
    pub(crate) text: String,
    pub(crate) parts: Vec<Part>,
}

/// What was taken out of a line, in characters.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) kind: String,
    /// Where it stood.
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Where its placeholder stands now.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// What stands in place of something of a kind.
pub(crate) fn placeholder(kind: &str) -> String {
    format!("[{kind}]")
}

/// The line with placeholders for these stretches of it, which are in order; nothing where there are none.
pub(crate) fn replaced(line: &str, stretches: &[(usize, usize, &str)]) -> Option<Replaced> {
    if stretches.is_empty() {
        return None;
    }
    let mut chars = line.chars();
    let (mut at, mut length) = (0, 0);
    let mut replaced = Replaced { text: String::new(), parts: Vec::new() };
    for &(from, to, kind) in stretches {
        replaced.text.extend(chars.by_ref().take(from - at));
        chars.by_ref().take(to - from).for_each(drop);
        length += from - at;
        let placeholder = placeholder(kind);
        let end = length + placeholder.chars().count();
        replaced.parts.push(Part { kind: kind.to_owned(), from, to, start: length, end });
        replaced.text.push_str(&placeholder);
        (at, length) = (to, end);
    }
    replaced.text.extend(chars);
    Some(replaced)
}

/// Where these placeholders stand in a line, in characters and in order.
pub(crate) fn placeholders_in(line: &str, placeholders: &[String]) -> Vec<(usize, usize)> {
    let of = |placeholder: &String| {
        let found: Vec<_> = line.match_indices(placeholder.as_str()).map(|(at, text)| at..at + text.len()).collect();
        char_ranges(line, found.into_iter())
    };
    let mut ranges: Vec<_> = if line.contains('[') { placeholders.iter().flat_map(of).collect() } else { Vec::new() };
    ranges.sort_unstable();
    ranges.dedup();
    ranges
}

/// Ranges of bytes, in order, as ranges of characters; empty ones are left out.
pub(crate) fn char_ranges(text: &str, ranges: impl Iterator<Item = Range<usize>>) -> Vec<(usize, usize)> {
    let (mut bytes, mut characters) = (0, 0);
    let mut forward = |to: usize| {
        characters += text[bytes..to].chars().count();
        bytes = to;
        characters
    };
    ranges.filter(|range| !range.is_empty()).map(|range| (forward(range.start), forward(range.end))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_stands_where_it_is_said_to() {
        let replaced = replaced("电话1，2。", &[(2, 3, "phone"), (4, 5, "x")]).expect("something is replaced");
        assert_eq!(replaced.text, "电话[phone]，[x]。");
        let places: Vec<_> = replaced.parts.iter().map(|part| (part.start, part.end)).collect();
        assert_eq!(places, [(2, 9), (10, 13)]);
    }

    #[test]
    fn placeholders_are_known_again() {
        let names = ["email", "x"].map(placeholder);
        assert_eq!(placeholders_in("é[x] [y] [email]", &names), [(1, 4), (9, 16)]);
    }
}
