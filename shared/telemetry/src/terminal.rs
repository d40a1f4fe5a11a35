//! Text from documents, file names and other users, made safe for a terminal.
//!
//! Terminals obey control characters in what they show: an escape sequence in a file name can change the clipboard
//! (OSC 52), the window's title or colors, and bidirectional controls can show a name that is not the real one.

use std::{borrow::Cow, fmt::Write};

/// Escapes text of one line: all controls become `\u{…}`, line breaks become `\n`. Tabs are kept, which separate the
/// cells of a row.
pub fn escape_line(text: &str) -> Cow<'_, str> {
    replace(text, |c| c != '\t' && is_unsafe(c), push_escape)
}

/// Escapes text of several lines: as [`escape_line`], with line breaks kept.
pub fn escape_text(text: &str) -> Cow<'_, str> {
    replace(text, |c| !matches!(c, '\t' | '\n') && is_unsafe(c), push_escape)
}

/// Escapes serialized JSON. Its content does not change: controls can only be in strings, where `\u001b` is the same.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    // Control characters up to U+001F are escaped by every serializer; here they are white space between values.
    replace(
        json,
        |c| c > '\u{1f}' && is_unsafe(c),
        |escaped, c| {
            // All of them are in the basic plane, so that one escape is enough.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        },
    )
}

/// Replaces control characters, which no text needs, by U+FFFD, and keeps line breaks and tabs. For text that is
/// redirected to a file or a pipe. Bidirectional controls are part of Arabic and Hebrew text and are kept.
pub fn replace_controls(text: &str) -> Cow<'_, str> {
    replace(text, |c| !matches!(c, '\t' | '\n') && c.is_control(), |replaced, _| replaced.push('\u{fffd}'))
}

fn replace(text: &str, is_replaced: impl Fn(char) -> bool, push: impl Fn(&mut String, char)) -> Cow<'_, str> {
    let Some(first) = text.find(&is_replaced) else { return Cow::Borrowed(text) };
    let mut replaced = String::with_capacity(text.len() + 16);
    replaced.push_str(&text[..first]);
    for c in text[first..].chars() {
        if is_replaced(c) {
            push(&mut replaced, c);
        } else {
            replaced.push(c);
        }
    }
    Cow::Owned(replaced)
}

fn push_escape(escaped: &mut String, c: char) {
    match c {
        '\n' => escaped.push_str("\\n"),
        '\r' => escaped.push_str("\\r"),
        _ => {
            let _ = write!(escaped, "\\u{{{:x}}}", u32::from(c));
        }
    }
}

/// Whether a terminal may obey the character, or show the text around it in another order: C0, DEL, C1, line and
/// paragraph separators, bidirectional controls (Unicode's `Bidi_Control`) and deprecated format characters.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clipboard change (OSC 52), a color in 7 and 8 bits, a carriage return, and a right-to-left override.
    const HOSTILE: &str = "a\u{1b}]52;c;ZXZpbA==\u{7}b\u{1b}[31mc\u{9b}31md\re\u{202e}txt.exe\u{2066}\u{7f}\n\tf";

    #[test]
    fn a_line_has_no_controls_but_tabs() {
        let escaped = escape_line(HOSTILE);
        let expected = "a\\u{1b}]52;c;ZXZpbA==\\u{7}b\\u{1b}[31mc\\u{9b}31md\\re\\u{202e}txt.exe\\u{2066}\\u{7f}\\n\tf";
        assert_eq!(escaped, expected);
        assert!(escaped.chars().all(|c| c == '\t' || !is_unsafe(c)));
    }

    #[test]
    fn text_keeps_its_line_breaks() {
        assert!(escape_text(HOSTILE).ends_with("\\u{7f}\n\tf"));
        assert_eq!(escape_text("发票 No. 7\n\tمرحبا"), "发票 No. 7\n\tمرحبا");
    }

    #[test]
    fn redirected_text_keeps_bidirectional_controls_and_replaces_other_controls() {
        let replaced = replace_controls(HOSTILE);
        assert_eq!(
            replaced,
            "a\u{fffd}]52;c;ZXZpbA==\u{fffd}b\u{fffd}[31mc\u{fffd}31md\u{fffd}e\u{202e}txt.exe\u{2066}\u{fffd}\n\tf"
        );
    }

    #[test]
    fn json_keeps_its_content() {
        let json = serde_json::to_string_pretty(&serde_json::json!({ "file": HOSTILE })).expect("a string is JSON");
        let escaped = escape_json(&json);
        assert!(escaped.chars().all(|c| c == '\n' || !is_unsafe(c)), "{escaped}");
        let value: serde_json::Value = serde_json::from_str(&escaped).expect("it is still JSON");
        assert_eq!(value["file"], HOSTILE);
    }
}
