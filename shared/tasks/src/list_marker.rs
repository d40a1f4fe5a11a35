//! Markers of list items, as they are printed.

/// The marker of a list item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListMarker {
    /// A bullet or a dash.
    Bullet,
    /// A number.
    Number(u32),
}

/// Characters that are bullets wherever they begin a line.
const BULLETS: &str = "•●○▪■□◦‣⁃∙➢➤►◆◇✓✔";
/// Characters that are bullets in front of a space and a word.
const DASHES: &str = "-–—*·";

/// Returns the marker at the beginning of a line and the text after it; `None` if it has none. `3.5 kg` and `- 7` have
/// none: they may be numbers.
pub fn list_marker(line: &str) -> Option<(ListMarker, &str)> {
    let line = line.trim_start();
    let first = line.chars().next()?;
    let rest = &line[first.len_utf8()..];
    if BULLETS.contains(first) && !rest.trim().is_empty() {
        return Some((ListMarker::Bullet, rest.trim_start()));
    }
    if DASHES.contains(first) {
        let is_item = rest.starts_with(' ') && rest.trim_start().starts_with(char::is_alphabetic);
        return is_item.then(|| (ListMarker::Bullet, rest.trim_start()));
    }
    let inner = line.strip_prefix(['(', '（']).unwrap_or(line);
    let digits = inner.bytes().take_while(u8::is_ascii_digit).count();
    let number: u32 = inner.get(..digits).filter(|_| (1..=3).contains(&digits))?.parse().ok()?;
    let after = &inner[digits..];
    let is_open = inner.len() == line.len();
    let text =
        if is_open { after.strip_prefix(['.', ')', '）', '、', '．']) } else { after.strip_prefix([')', '）']) }?;
    let is_apart = text.starts_with(char::is_whitespace) || text.starts_with(|c: char| c > '\u{2e7f}');
    (is_apart && !text.trim().is_empty()).then(|| (ListMarker::Number(number), text.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bullets_and_numbers_are_markers() {
        for (line, marker, text) in [
            ("• one", ListMarker::Bullet, "one"),
            ("●一", ListMarker::Bullet, "一"),
            ("- a dash", ListMarker::Bullet, "a dash"),
            ("12. twelve", ListMarker::Number(12), "twelve"),
            ("3) three", ListMarker::Number(3), "three"),
            ("(4) four", ListMarker::Number(4), "four"),
            ("（五", ListMarker::Bullet, ""),
            ("1、范围", ListMarker::Number(1), "范围"),
        ] {
            let expected = (!text.is_empty()).then_some((marker, text));
            assert_eq!(list_marker(line), expected, "{line}");
        }
    }

    #[test]
    fn numbers_and_text_are_no_markers() {
        for line in ["3.5 kg", "- 7", "-5", "2026. A year", "12.50", "", "•", "word", "1.", "(4 pieces)"] {
            assert_eq!(list_marker(line), None, "{line}");
        }
    }
}
