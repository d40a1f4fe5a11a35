//! Splits Rust source into tokens. Comments are dropped, so that a path in a comment or a doc link does not count as an
//! import.

/// A token and the line it starts on, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceToken {
    pub(crate) kind: SourceTokenKind,
    pub(crate) text: String,
    pub(crate) line: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceTokenKind {
    /// An identifier, a keyword or a number.
    Word,
    /// One character, or the path separator `::`.
    Punctuation,
    /// The content of a string literal, with its escapes as they are written.
    Text,
}

impl SourceToken {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.kind != SourceTokenKind::Text && self.text == text
    }

    pub(crate) fn is_word(&self) -> bool {
        self.kind == SourceTokenKind::Word
    }
}

/// Returns the tokens of a source file. Malformed source yields some tokens, never an error: the compiler reports it.
pub(crate) fn tokenize(source: &str) -> Vec<SourceToken> {
    let mut lexer = Lexer { rest: source, line: 1, tokens: Vec::new() };
    while let Some(first) = lexer.rest.chars().next() {
        lexer.read_token(first);
    }
    lexer.tokens
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<SourceToken>,
}

impl Lexer<'_> {
    fn read_token(&mut self, first: char) {
        if let Some(length) = comment_length(self.rest) {
            self.skip(length);
        } else if let Some(literal) = StringLiteral::at_start_of(self.rest) {
            self.push(SourceTokenKind::Text, literal.content.0, literal.content.1);
            self.skip(literal.length);
        } else if let Some(raw_word) = self.rest.strip_prefix("r#").filter(|rest| rest.starts_with(is_word_start)) {
            let length = 2 + word_length(raw_word);
            self.push(SourceTokenKind::Word, 2, length);
            self.skip(length);
        } else if is_word_character(first) {
            let length = word_length(self.rest);
            self.push(SourceTokenKind::Word, 0, length);
            self.skip(length);
        } else if first == '\'' {
            self.skip(quote_length(self.rest));
        } else if self.rest.starts_with("::") {
            self.push(SourceTokenKind::Punctuation, 0, 2);
            self.skip(2);
        } else {
            if !first.is_whitespace() {
                self.push(SourceTokenKind::Punctuation, 0, first.len_utf8());
            }
            self.skip(first.len_utf8());
        }
    }

    fn push(&mut self, kind: SourceTokenKind, start: usize, end: usize) {
        self.tokens.push(SourceToken { kind, text: self.rest[start..end].to_owned(), line: self.line });
    }

    fn skip(&mut self, length: usize) {
        let (skipped, rest) = self.rest.split_at(length);
        self.line += skipped.matches('\n').count();
        self.rest = rest;
    }
}

fn is_word_start(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

fn is_word_character(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn word_length(rest: &str) -> usize {
    rest.find(|character| !is_word_character(character)).unwrap_or(rest.len())
}

/// Returns the length of the comment that `rest` starts with. Block comments nest.
fn comment_length(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let mut depth = 0_usize;
    let mut position = 0;
    while position < rest.len() {
        let here = &rest.as_bytes()[position..];
        if here.starts_with(b"/*") {
            depth += 1;
            position += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            position += 2;
        } else {
            position += 1;
        }
        if depth == 0 {
            return Some(position);
        }
    }
    Some(rest.len())
}

struct StringLiteral {
    /// Start and end of the content, in bytes from the start of the literal.
    content: (usize, usize),
    length: usize,
}

impl StringLiteral {
    /// Returns the string literal that `rest` starts with: plain, raw, byte or C.
    fn at_start_of(rest: &str) -> Option<Self> {
        let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
            let hashes = rest.get(prefix.len()..).unwrap_or_default();
            let is_raw = prefix.ends_with('r');
            rest.starts_with(prefix) && (if is_raw { hashes.trim_start_matches('#') } else { hashes }).starts_with('"')
        })?;
        let hashes = rest[prefix.len()..].find('"').expect("a quote follows the prefix");
        let start = prefix.len() + hashes + 1;
        let terminator = format!("\"{}", "#".repeat(hashes));
        let content_length =
            if prefix.ends_with('r') { rest[start..].find(&terminator) } else { unescaped_quote(&rest[start..]) };
        let end = content_length.map_or(rest.len(), |length| start + length);
        Some(Self { content: (start, end), length: rest.len().min(end + terminator.len()) })
    }
}

fn unescaped_quote(content: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (position, character) in content.char_indices() {
        if character == '"' && !is_escaped {
            return Some(position);
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    None
}

/// Returns the length of a character literal, or of the quote alone where it starts a lifetime.
fn quote_length(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    let first = characters.next().map(|(_, character)| character);
    if first == Some('\\') {
        characters.next();
        return characters.find(|(_, character)| *character == '\'').map_or(rest.len(), |(position, _)| position + 1);
    }
    match characters.next() {
        Some((position, '\'')) => position + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        tokenize(source).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_are_dropped() {
        assert_eq!(texts("a // crate::b\n/* crate::c /* d */ */ e /// [`crate::f`]"), ["a", "e"]);
    }

    #[test]
    fn paths_are_words_and_separators() {
        assert_eq!(texts("crate::a::r#type(x)"), ["crate", "::", "a", "::", "type", "(", "x", ")"]);
    }

    #[test]
    fn the_content_of_a_string_is_one_token() {
        let tokens = tokenize(r###"f("a \" b", r#"c " d"#, b"e", br##"f "# g"##) h"###);
        let strings: Vec<_> = tokens.iter().filter(|token| token.kind == SourceTokenKind::Text).collect();
        let contents: Vec<_> = strings.iter().map(|token| token.text.as_str()).collect();
        assert_eq!(contents, [r#"a \" b"#, r#"c " d"#, "e", r##"f "# g"##]);
        assert_eq!(tokens.last().map(|token| token.text.as_str()), Some("h"));
    }

    #[test]
    fn a_quote_character_does_not_open_a_string() {
        assert_eq!(texts(r#"f('"', '\'', '\u{1F600}', b'x') g"#), ["f", "(", ",", ",", ",", "b", ")", "g"]);
    }

    #[test]
    fn a_lifetime_is_not_a_character() {
        assert_eq!(texts("&'a str, 'b'"), ["&", "a", "str", ","]);
    }

    #[test]
    fn lines_count_through_comments_and_strings() {
        let tokens = tokenize("a\n// b\n\"c\nd\" e");
        assert_eq!(tokens.last().map(|token| token.line), Some(4));
    }
}
