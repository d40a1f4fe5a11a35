//! Escapes text for Markdown, only where it would mean something else (`CommonMark` 0.31 with GitHub's tables and
//! strikethrough).

/// Escapes inline text.
pub(crate) fn escape_inline(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut escaped = String::with_capacity(text.len());
    for (index, character) in characters.iter().copied().enumerate() {
        let before = index.checked_sub(1).map(|index| characters[index]);
        let after = characters.get(index + 1).copied();
        if is_markup(character, before, after, &characters[index + 1..]) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// Returns whether a character is markup between these neighbors.
fn is_markup(character: char, before: Option<char>, after: Option<char>, rest: &[char]) -> bool {
    let is_blank = |neighbor: Option<char>| neighbor.is_none_or(char::is_whitespace);
    let is_word = |neighbor: Option<char>| neighbor.is_some_and(char::is_alphanumeric);
    match character {
        '`' => true,
        '*' => !(is_blank(before) && is_blank(after)),
        '_' => !(is_blank(before) && is_blank(after) || is_word(before) && is_word(after)),
        '~' => before == Some('~') || after == Some('~'),
        '\\' => after.is_some_and(|next| next.is_ascii_punctuation()),
        '<' => after.is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?')),
        '&' => is_entity(rest),
        // A link has its address behind it, a footnote a caret, and a definition a colon.
        '[' => {
            let end = rest.iter().position(|next| *next == ']');
            let behind = end.and_then(|end| rest.get(end + 1)).copied();
            after == Some('^') || matches!(behind, Some('(' | '[')) || behind == Some(':') && before.is_none()
        }
        _ => false,
    }
}

fn is_entity(rest: &[char]) -> bool {
    let length = rest.iter().take(33).position(|next| *next == ';');
    length.is_some_and(|length| {
        length > 0 && rest[..length].iter().all(|next| next.is_ascii_alphanumeric() || *next == '#')
    })
}

/// Escapes a line that begins a block: also what would make it a heading, a list, a quotation or a rule.
pub(crate) fn escape_line(text: &str) -> String {
    let inline = escape_inline(text);
    let text = text.trim_start();
    let first = text.chars().next().unwrap_or_default();
    let repeated = text.chars().take_while(|next| *next == first).count();
    let rest = text.trim_start_matches(first);
    let is_apart = rest.is_empty() || rest.starts_with(' ');
    let is_rule = text.chars().all(|next| next == first || next == ' ') && matches!(first, '-' | '=' | '*' | '_');
    let begins_block = match first {
        '#' => repeated <= 6 && is_apart,
        '>' | '|' => true,
        '+' | '-' => repeated == 1 && is_apart || is_rule,
        '*' => repeated == 1 && is_apart,
        '=' | '_' => is_rule,
        '~' => repeated >= 3,
        _ => false,
    };
    if begins_block && !inline.starts_with('\\') {
        return format!("\\{inline}");
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let numbers = (1..=9).contains(&digits) && text[digits..].starts_with(['.', ')']);
    if numbers && (text.len() == digits + 1 || text[digits + 1..].starts_with(' ')) {
        let (number, rest) = inline.split_at(digits);
        return format!("{number}\\{rest}");
    }
    inline
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_markup_is_escaped() {
        for text in [
            "a 2 * 3 b",
            "file_name_x",
            "[email] or [1]",
            "5 < 6 & 7 > 3",
            "AT&T",
            "$5 (net)",
            "C:\\dir",
            "50 %",
            "a|b",
            "~5",
        ] {
            assert_eq!(escape_inline(text), text);
        }
        assert_eq!(escape_inline("*a* _b_ `c` <b> &amp; ~~d~~"), "\\*a\\* \\_b\\_ \\`c\\` \\<b> \\&amp; \\~\\~d\\~\\~");
        assert_eq!(escape_inline("[a](b) [^1]"), "\\[a](b) \\[^1]");
        assert_eq!(escape_inline("\\*"), "\\\\\\*");
    }

    #[test]
    fn the_beginning_of_a_line_is_escaped_if_it_begins_a_block() {
        for (text, escaped) in [
            ("# 5", "\\# 5"),
            ("#5", "#5"),
            ("- 7", "\\- 7"),
            ("-7", "-7"),
            ("---", "\\---"),
            ("> x", "\\> x"),
            ("2026. A year", "2026\\. A year"),
            ("3.5 kg", "3.5 kg"),
            ("+ a", "\\+ a"),
            ("+49 30", "+49 30"),
            ("* a", "\\* a"),
            ("| a", "\\| a"),
            ("1.", "1\\."),
        ] {
            assert_eq!(escape_line(text), escaped);
        }
    }
}
