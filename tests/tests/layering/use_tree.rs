//! Reads `use` declarations into one import per name.

use crate::lexer::SourceToken;

/// One name that a `use` declaration binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    /// The path, e.g. `["crate", "limits", "MAX_PAGES"]`. For a glob it is the path of the module.
    pub(crate) segments: Vec<String>,
    /// The name in this module: the last segment or the one after `as`; `*` for a glob.
    pub(crate) name: String,
    /// Whether it has a visibility, which makes it a re-export.
    pub(crate) is_public: bool,
    pub(crate) line: usize,
}

/// Reads the tree that follows `use`, up to and including its `;`. Returns the number of tokens read.
pub(crate) fn read_use_tree(tokens: &[SourceToken], is_public: bool, imports: &mut Vec<Import>) -> usize {
    let length = tokens.iter().position(|token| token.is(";")).unwrap_or(tokens.len());
    let mut reader = TreeReader { tokens: &tokens[..length], is_public, imports };
    // `::name` is always an external crate.
    if !tokens.first().is_some_and(|token| token.is("::")) {
        reader.read(&[]);
    }
    length + 1
}

struct TreeReader<'a> {
    tokens: &'a [SourceToken],
    is_public: bool,
    imports: &'a mut Vec<Import>,
}

impl TreeReader<'_> {
    fn next(&mut self) -> Option<&SourceToken> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn next_is(&self, text: &str) -> bool {
        self.tokens.first().is_some_and(|token| token.is(text))
    }

    /// Reads one tree, and leaves the `,` or `}` after it.
    fn read(&mut self, prefix: &[String]) {
        let mut segments = prefix.to_vec();
        let mut line = 0;
        while let Some(token) = self.tokens.first() {
            match token.text.as_str() {
                "{" => return self.read_group(&segments),
                "," | "}" | "as" => break,
                "*" => {
                    let glob = (token.line, "*".to_owned());
                    self.next();
                    return self.push(segments, glob.1, glob.0);
                }
                "::" => {}
                _ => {
                    segments.push(token.text.clone());
                    line = token.line;
                }
            }
            self.next();
        }
        // `a::{self}` binds `a`.
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        let mut name = segments.last().cloned().unwrap_or_default();
        if self.next_is("as") {
            self.next();
            name = self.next().map(|token| token.text.clone()).unwrap_or_default();
        }
        self.push(segments, name, line);
    }

    fn read_group(&mut self, prefix: &[String]) {
        self.next();
        while !self.tokens.is_empty() && !self.next_is("}") {
            self.read(prefix);
            if self.next_is(",") {
                self.next();
            }
        }
        self.next();
    }

    fn push(&mut self, segments: Vec<String>, name: String, line: usize) {
        if !segments.is_empty() {
            self.imports.push(Import { segments, name, is_public: self.is_public, line });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer::tokenize;

    fn read(declaration: &str) -> Vec<(String, String)> {
        let mut imports = Vec::new();
        let tokens = tokenize(declaration);
        assert_eq!(read_use_tree(&tokens, false, &mut imports), tokens.len());
        imports.into_iter().map(|import| (import.segments.join("::"), import.name)).collect()
    }

    fn pair(path: &str, name: &str) -> (String, String) {
        (path.to_owned(), name.to_owned())
    }

    #[test]
    fn a_plain_import_binds_its_last_segment() {
        assert_eq!(read("crate::a::B;"), [pair("crate::a::B", "B")]);
    }

    #[test]
    fn a_group_binds_each_of_its_names() {
        let expected =
            [pair("crate::a", "a"), pair("crate::a::B", "B"), pair("crate::a::c::D", "D"), pair("crate::e", "e")];
        assert_eq!(read("crate::{a::{self, B, c::{D,},}, e};"), expected);
    }

    #[test]
    fn an_alias_is_the_name() {
        assert_eq!(read("super::{a as b, C as _};"), [pair("super::a", "b"), pair("super::C", "_")]);
    }

    #[test]
    fn a_glob_keeps_the_path_of_the_module() {
        assert_eq!(read("super::a::*;"), [pair("super::a", "*")]);
    }

    #[test]
    fn an_external_crate_with_a_leading_separator_is_left_out() {
        assert!(read("::openvino::Core;").is_empty());
    }
}
