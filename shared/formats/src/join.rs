//! Joins the lines of a paragraph or a cell.

use crate::words::is_wide;

/// Returns the lines as running text: with a space between them, except between characters of scripts without spaces,
/// and without the hyphen of a divided word.
pub(crate) fn join_lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    let mut joined = String::new();
    for line in lines.into_iter().map(str::trim).filter(|line| !line.is_empty()) {
        append(&mut joined, line);
    }
    joined
}

/// Appends a line to running text.
pub(crate) fn append(text: &mut String, line: &str) {
    let (Some(last), Some(first)) = (text.chars().next_back(), line.chars().next()) else {
        text.push_str(line);
        return;
    };
    if last == '\u{ad}' || last == '-' && divides_word(text, line) {
        text.pop();
    } else if !(is_wide(last) && is_wide(first) || is_joined(text, last, line)) {
        text.push(' ');
    }
    text.push_str(line);
}

/// Returns whether the hyphen at the end of a text divides a word: between two lower-case letters, in front of a word
/// that is no conjunction, such as in `Vor- und Nachname`.
fn divides_word(text: &str, line: &str) -> bool {
    const CONJUNCTIONS: [&str; 5] = ["und", "oder", "bzw.", "and", "or"];
    let before = text.trim_end_matches('-').chars().next_back();
    let next = line.split_whitespace().next().unwrap_or_default();
    !text.ends_with("--")
        && before.is_some_and(char::is_lowercase)
        && line.starts_with(char::is_lowercase)
        && !CONJUNCTIONS.contains(&next)
}

/// Returns whether a hyphen or slash stays without a space: it is part of a compound such as `COVID-` and `19`.
fn is_joined(text: &str, last: char, line: &str) -> bool {
    let before = text.chars().rev().nth(1);
    matches!(last, '-' | '/')
        && before.is_some_and(char::is_alphanumeric)
        && line.starts_with(char::is_alphanumeric)
        && !line.starts_with(char::is_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_as_a_reader_would() {
        for (lines, text) in [
            (&["The amount is", "due on Monday"][..], "The amount is due on Monday"),
            (&["an inter-", "national law"], "an international law"),
            (&["Vor-", "und Nachname"], "Vor- und Nachname"),
            (&["COVID-", "19 tests"], "COVID-19 tests"),
            (&["用于支付", "的金额。", "第二"], "用于支付的金额。第二"),
            (&["使用 PDF", "格式"], "使用 PDF 格式"),
            (&["", "  a ", ""], "a"),
            (&["3 -", "4"], "3 - 4"),
        ] {
            assert_eq!(join_lines(lines.iter().copied()), text);
        }
    }
}
