//! Text without its markup, as a reader sees it: HTML, Markdown and LaTeX.

use crate::{
    unicode::{Unify, normalize},
    view::{BARRIER, CELL, Place, ROW, SOFT_BREAK, View, ViewChar},
};

/// The longest tag, with its attributes, and the longest entity, in characters.
const MAX_TAG_CHARS: usize = 1000;
const MAX_ENTITY_CHARS: usize = 32;
/// Tags that begin or end a line.
#[rustfmt::skip]
const BLOCKS: [&str; 28] = [
    "br", "p", "div", "li", "ul", "ol", "table", "thead", "tbody", "tfoot", "caption", "hr", "h1", "h2", "h3", "h4",
    "h5", "h6", "pre", "blockquote", "section", "article", "header", "footer", "dl", "dt", "dd", "figure",
];
/// Tags inside a line.
#[rustfmt::skip]
const INLINE: [&str; 32] = [
    "a", "abbr", "b", "bdi", "bdo", "big", "body", "center", "cite", "code", "del", "em", "font", "html", "i", "img",
    "ins",
    "kbd", "label", "mark", "nobr", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "u", "wbr",
];
/// Commands of LaTeX that are spaces.
const LATEX_SPACES: [&str; 8] = ["quad", "qquad", "enspace", "thinspace", "medspace", "thickspace", "space", "hspace"];
/// Commands of LaTeX whose argument is text.
#[rustfmt::skip]
const LATEX_TEXT: [&str; 22] = [
    "text", "textbf", "textit", "texttt", "textrm", "textsf", "mathrm", "mathbf", "mathit", "mathtt", "mathsf", "mbox",
    "hbox", "operatorname", "boldsymbol", "underline", "overline", "emph", "left", "right", "hline", "displaystyle",
];

/// What stands at a position of a text.
enum Piece {
    /// A character, or an entity, which is read as these characters.
    Text(String),
    /// Markup that a reader does not see.
    Hidden,
    /// A separator.
    Separator(char),
}

/// Adds a text without its markup. `is_placeholder` tells which characters an earlier redaction has replaced.
pub(crate) fn push_visible(view: &mut View, text: usize, chars: &[char], is_placeholder: impl Fn(usize) -> bool) {
    let mut at = 0;
    let mut after_markup = false;
    while at < chars.len() {
        if is_placeholder(at) {
            let place = Some(Place { text, start: at, end: at + 1 });
            view.push(ViewChar { character: BARRIER, place, after_markup }, false);
            (at, after_markup) = (at + 1, false);
            continue;
        }
        let (piece, length) = parse(chars, at);
        let place = Some(Place { text, start: at, end: at + length });
        match piece {
            Piece::Hidden => after_markup = true,
            Piece::Separator(separator) => view.push_separator(separator),
            Piece::Text(read) => {
                for character in read.chars() {
                    normalize(character, Unify::All, |character| {
                        let character = if character == '\n' { ' ' } else { character };
                        view.push(ViewChar { character, place, after_markup }, true);
                        after_markup = false;
                    });
                }
            }
        }
        at += length;
    }
}

/// Returns the piece at a position and its length in characters.
fn parse(chars: &[char], at: usize) -> (Piece, usize) {
    let next = chars.get(at + 1).copied();
    let before = at.checked_sub(1).map(|before| chars[before]);
    let plain = || (Piece::Text(chars[at].to_string()), 1);
    match chars[at] {
        '<' => parse_tag(chars, at).unwrap_or_else(plain),
        '&' => parse_entity(chars, at).unwrap_or_else(|| match next {
            // Between two columns of LaTeX.
            Some(' ') | None => (Piece::Separator(CELL), 1),
            _ => plain(),
        }),
        '|' => (Piece::Separator(CELL), 1),
        '\n' => (Piece::Separator(if before == Some('|') { ROW } else { SOFT_BREAK }), 1),
        '\\' => parse_backslash(chars, at),
        mark @ ('*' | '~' | '`' | '_') => {
            let length = chars[at..].iter().take_while(|character| **character == mark).count();
            let after = chars.get(at + length).copied();
            let is_inside = |side: Option<char>| side.is_some_and(char::is_alphanumeric);
            let is_between = is_inside(before) && is_inside(after);
            match mark {
                // In LaTeX a space that does not break.
                '~' if length == 1 => (Piece::Text(" ".to_owned()), 1),
                // `a_b` is a name, and `2*3` a product, but `*2*3` has an emphasized digit.
                '_' if length == 1 && is_between => plain(),
                '*' if length == 1 && is_between && !is_paired(chars, at) => plain(),
                _ => (Piece::Hidden, length),
            }
        }
        '$' | '{' | '}' | '^' => (Piece::Hidden, 1),
        _ => plain(),
    }
}

/// The most characters on either side of a mark of emphasis among which its counterpart is searched.
const MAX_EMPHASIS_CHARS: usize = 80;

/// Returns whether the line has an even number of this mark.
fn is_paired(chars: &[char], at: usize) -> bool {
    let is_in_line = |character: &&char| **character != '\n';
    let before = chars[..at].iter().rev().take(MAX_EMPHASIS_CHARS).take_while(is_in_line);
    let after = chars[at..].iter().take(MAX_EMPHASIS_CHARS).take_while(is_in_line);
    before.chain(after).filter(|character| **character == chars[at]).count().is_multiple_of(2)
}

/// Parses a tag of HTML, or a comment. Anything else in angle brackets is text, e.g. an email address.
fn parse_tag(chars: &[char], at: usize) -> Option<(Piece, usize)> {
    let rest = &chars[at..chars.len().min(at + MAX_TAG_CHARS)];
    if rest.starts_with(&['<', '!', '-', '-']) {
        let end = rest.windows(3).position(|window| window == ['-', '-', '>'])?;
        return Some((Piece::Hidden, end + 3));
    }
    let name_start = if rest.get(1) == Some(&'/') { 2 } else { 1 };
    let name: String =
        rest[name_start.min(rest.len())..].iter().take_while(|character| character.is_ascii_alphanumeric()).collect();
    let after_name = rest.get(name_start + name.len())?;
    let end = rest.iter().position(|character| *character == '>')?;
    let name = name.to_ascii_lowercase();
    if !(after_name.is_whitespace() || ['>', '/'].contains(after_name)) {
        return None;
    }
    let piece = match name.as_str() {
        "td" | "th" => Piece::Separator(CELL),
        "tr" => Piece::Separator(ROW),
        name if BLOCKS.contains(&name) => Piece::Separator(SOFT_BREAK),
        name if INLINE.contains(&name) => Piece::Hidden,
        _ => return None,
    };
    Some((piece, end + 1))
}

/// Parses an entity of HTML, also one that was escaped twice, e.g. `&amp;nbsp;`.
fn parse_entity(chars: &[char], at: usize) -> Option<(Piece, usize)> {
    let rest = &chars[at + 1..chars.len().min(at + 1 + MAX_ENTITY_CHARS)];
    let escaped = ["amp;", "#38;", "#x26;"]
        .into_iter()
        .find(|escaped| rest.iter().copied().take(escaped.len()).eq(escaped.chars()));
    let skipped = escaped.map_or(0, str::len);
    let name: String = rest[skipped..]
        .iter()
        .take_while(|character| character.is_ascii_alphanumeric() || **character == '#')
        .collect();
    let has_end = rest.get(skipped + name.len()) == Some(&';');
    let decoded = decode_entity(&name, has_end);
    match (decoded, escaped) {
        (Some((read, length)), _) => Some((Piece::Text(read), 1 + skipped + length)),
        (None, Some(escaped)) => Some((Piece::Text("&".to_owned()), 1 + escaped.len())),
        (None, None) => None,
    }
}

/// Returns the characters of an entity, and the number of characters after the `&` that belong to it.
fn decode_entity(name: &str, has_end: bool) -> Option<(String, usize)> {
    if name.is_empty() {
        return None;
    }
    // A browser also reads `&#52` and `&nbsp` without the semicolon.
    let is_known_without_end = name.starts_with('#') || name == "nbsp";
    if !has_end && !is_known_without_end {
        return None;
    }
    let entity = format!("&{name};");
    let decoded = html_escape::decode_html_entities(&entity);
    (decoded != entity).then(|| (decoded.into_owned(), name.len() + usize::from(has_end)))
}

/// Parses an escaped character of Markdown, or a command of LaTeX.
fn parse_backslash(chars: &[char], at: usize) -> (Piece, usize) {
    let Some(&next) = chars.get(at + 1) else { return (Piece::Text("\\".to_owned()), 1) };
    let command: String =
        chars[at + 1..].iter().take(20).take_while(|character| character.is_ascii_alphabetic()).collect();
    let after = chars.get(at + 1 + command.len()).copied();
    match next {
        ',' | ';' | ':' | ' ' => (Piece::Text(" ".to_owned()), 2),
        '!' => (Piece::Hidden, 2),
        '\\' => (Piece::Separator(SOFT_BREAK), 2),
        _ if next.is_ascii_punctuation() => (Piece::Text(next.to_string()), 2),
        _ if LATEX_SPACES.contains(&command.as_str()) => (Piece::Text(" ".to_owned()), 1 + command.len()),
        _ if LATEX_TEXT.contains(&command.as_str()) => (Piece::Hidden, 1 + command.len()),
        _ if ["begin", "end"].contains(&command.as_str()) && after == Some('{') => {
            let length = chars[at..].iter().take(60).position(|character| *character == '}');
            (Piece::Separator(SOFT_BREAK), length.map_or(1 + command.len(), |length| length + 1))
        }
        // A line break or a tab in text that was escaped.
        'n' | 't' | 'r' if command.len() == 1 => (Piece::Separator(SOFT_BREAK), 2),
        _ => (Piece::Text("\\".to_owned()), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visible(text: &str) -> String {
        let mut view = View::default();
        push_visible(&mut view, 0, &text.chars().collect::<Vec<_>>(), |_| false);
        let replace = |character| match character {
            CELL => '|',
            SOFT_BREAK | ROW => '/',
            other => other,
        };
        view.characters().into_iter().map(replace).collect()
    }

    #[test]
    fn markup_is_read_as_a_reader_sees_it() {
        for (text, expected) in [
            ("4111<br/>1111<BR>2", "4111/1111/2"),
            ("<table><tr><td>4111</td><td class=\"x\"> 1111 </td></tr><tr><td>2", "4111|1111/2"),
            ("| 4111 | 1111 |", "4111|1111|"),
            ("4111&nbsp;1111&#160;&#xA0;2&#52;&amp;nbsp;5", "4111 1111 24 5"),
            ("a&#64;b&period;c &amp; d", "a@b.c & d"),
            ("**4111** *11*11 `2` ~~3~~ <b>4</b><sup>5</sup>", "4111 1111 2 3 45"),
            ("john\\_smith@a\\.b x_y __z__", "john_smith@a.b x_y z"),
            ("$4111\\,1111~2\\quad \\text{3}$", "4111 1111 2 3"),
            ("\\begin{tabular}{cc}4111 & 1111 \\\\ 2\\end{tabular}", "cc4111|1111/2/"),
            ("<john@x.com> a < b, 2*3", "<john@x.com> a < b, 2*3"),
            ("4<!-- x -->1 Smith & Co &unknown; R&D", "41 Smith|Co &unknown; R&D"),
        ] {
            assert_eq!(visible(text), expected, "{text}");
        }
    }
}
