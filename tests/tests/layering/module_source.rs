//! Reads from a module's tokens what it declares, imports and names. Items under `#[cfg(test)]` are left out.

use std::collections::BTreeSet;

use crate::{
    lexer::{SourceToken, SourceTokenKind, tokenize},
    use_tree::{Import, read_use_tree},
};

/// What one module declares, imports and names.
#[derive(Debug, Default)]
pub(crate) struct ModuleSource {
    /// `mod name;`: modules in files of their own.
    pub(crate) child_files: Vec<ChildFile>,
    /// `mod name { … }`.
    pub(crate) inline_modules: Vec<(String, ModuleSource)>,
    pub(crate) imports: Vec<Import>,
    /// `a::b::c` outside of `use` declarations.
    pub(crate) paths: Vec<CodePath>,
    /// Every identifier outside of `use` declarations.
    pub(crate) words: BTreeSet<String>,
}

#[derive(Debug)]
pub(crate) struct ChildFile {
    pub(crate) name: String,
    /// The file that a `path` attribute names, relative to the folder of the declaring file. Under `cfg_attr` it is one
    /// of two files.
    pub(crate) other_file: Option<String>,
}

#[derive(Debug)]
pub(crate) struct CodePath {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

impl ModuleSource {
    pub(crate) fn parse(source: &str) -> Self {
        let tokens = expand_serde_paths(tokenize(source));
        let mut module = Self::default();
        Parser { tokens: &tokens, position: 0 }.read_module(&mut module);
        module
    }
}

/// Replaces string literals in `#[serde(…)]` by the tokens of their content: `with = "crate::hex"` names a module.
fn expand_serde_paths(tokens: Vec<SourceToken>) -> Vec<SourceToken> {
    let mut expanded: Vec<SourceToken> = Vec::with_capacity(tokens.len());
    let mut serde_depth = 0_usize;
    for token in tokens {
        if serde_depth > 0 && token.kind == SourceTokenKind::Text {
            expanded.extend(tokenize(&token.text).into_iter().map(|inner| SourceToken { line: token.line, ..inner }));
            continue;
        }
        if serde_depth > 0 || token.is("serde") && expanded.last().is_some_and(|previous| previous.is("[")) {
            serde_depth = match token.text.as_str() {
                "[" => serde_depth + 1,
                "]" => serde_depth - 1,
                "serde" => serde_depth.max(1),
                _ => serde_depth,
            };
        }
        expanded.push(token);
    }
    expanded
}

struct Parser<'a> {
    tokens: &'a [SourceToken],
    position: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self, offset: usize) -> Option<&'a SourceToken> {
        self.tokens.get(self.position + offset)
    }

    fn next_is(&self, offset: usize, text: &str) -> bool {
        self.peek(offset).is_some_and(|token| token.is(text))
    }

    /// Reads until the brace that closes the module, or the end of the file.
    fn read_module(&mut self, module: &mut ModuleSource) {
        let mut depth = 0_usize;
        let mut other_file = None;
        while let Some(token) = self.peek(0) {
            if self.next_is(0, "#") && (self.next_is(1, "[") || self.next_is(1, "!")) {
                let attribute = self.read_attribute();
                if attribute.is_for_tests {
                    self.skip_item();
                } else {
                    other_file = attribute.path.or(other_file);
                    module.words.extend(attribute.words);
                    module.paths.extend(attribute.paths);
                }
                continue;
            }
            match token.text.as_str() {
                "mod" if token.is_word() && self.peek(1).is_some_and(SourceToken::is_word) => {
                    self.read_child(module, other_file.take());
                    continue;
                }
                "use" if token.is_word() => {
                    let is_public = self.is_after_visibility();
                    self.position += 1;
                    self.position += read_use_tree(&self.tokens[self.position..], is_public, &mut module.imports);
                    continue;
                }
                "{" => depth += 1,
                "}" if depth == 0 => break,
                "}" => depth -= 1,
                _ => {}
            }
            self.read_code(module);
        }
        self.position += 1;
    }

    fn read_child(&mut self, module: &mut ModuleSource, other_file: Option<String>) {
        let name = self.peek(1).expect("a name follows `mod`").text.clone();
        let is_inline = self.next_is(2, "{");
        self.position += 3;
        if is_inline {
            let mut child = ModuleSource::default();
            self.read_module(&mut child);
            module.inline_modules.push((name, child));
        } else {
            module.child_files.push(ChildFile { name, other_file });
        }
    }

    /// Reads one token of code, or a whole path.
    fn read_code(&mut self, module: &mut ModuleSource) {
        let token = self.peek(0).expect("a token is left");
        let previous = self.position.checked_sub(1).map(|before| &self.tokens[before]);
        self.position += 1;
        if !token.is_word() {
            return;
        }
        module.words.insert(token.text.clone());
        if previous.is_some_and(|previous| ["::", ".", "in"].iter().any(|text| previous.is(text))) {
            return;
        }
        let mut segments = vec![token.text.clone()];
        while let (true, Some(next)) = (self.next_is(0, "::"), self.peek(1).filter(|next| next.is_word())) {
            module.words.insert(next.text.clone());
            segments.push(next.text.clone());
            self.position += 2;
        }
        if segments.len() > 1 {
            module.paths.push(CodePath { segments, line: token.line });
        }
    }

    /// Whether the token follows `pub` or `pub(…)`.
    fn is_after_visibility(&self) -> bool {
        let before = &self.tokens[..self.position];
        let Some(last) = before.last() else { return false };
        if last.is(")") {
            let opening = before.iter().rposition(|token| token.is("("));
            return opening.and_then(|opening| opening.checked_sub(1)).is_some_and(|word| before[word].is("pub"));
        }
        last.is("pub")
    }

    fn read_attribute(&mut self) -> Attribute {
        let start = self.position;
        self.position += if self.next_is(1, "!") { 2 } else { 1 };
        self.skip_group();
        let tokens = &self.tokens[start..self.position];
        let mut content = ModuleSource::default();
        let mut inner = Parser { tokens, position: 0 };
        while inner.peek(0).is_some() {
            inner.read_code(&mut content);
        }
        let is_condition = content.words.contains("cfg");
        let is_for_tests = is_condition && content.words.contains("test") && !content.words.contains("not");
        let path_value = tokens.windows(3).find(|window| window[0].is("path") && window[1].is("="));
        let path = path_value.map(|window| window[2].text.clone());
        Attribute { is_for_tests, path, words: content.words, paths: content.paths }
    }

    /// Skips the item, field, statement or match arm that an attribute belongs to.
    fn skip_item(&mut self) {
        while self.next_is(0, "#") && self.next_is(1, "[") {
            self.position += 1;
            self.skip_group();
        }
        let is_item = self.peek(0).is_some_and(|token| ITEM_KEYWORDS.contains(&token.text.as_str()));
        let is_import = self.tokens[self.position..].iter().take(5).any(|token| token.is("use"));
        while let Some(token) = self.peek(0) {
            match token.text.as_str() {
                "}" | ")" | "]" => return,
                "{" if is_item && !is_import => return self.skip_group(),
                "{" | "(" | "[" if token.kind == SourceTokenKind::Punctuation => {
                    self.skip_group();
                    continue;
                }
                ";" => break,
                "," if !is_item => break,
                _ => {}
            }
            self.position += 1;
        }
        self.position += 1;
    }

    /// Skips a bracketed group, from its opening bracket to its closing one.
    fn skip_group(&mut self) {
        let mut depth = 0_usize;
        while let Some(token) = self.peek(0) {
            self.position += 1;
            match token.text.as_str() {
                "{" | "(" | "[" if token.kind == SourceTokenKind::Punctuation => depth += 1,
                "}" | ")" | "]" if token.kind == SourceTokenKind::Punctuation => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }
}

const ITEM_KEYWORDS: [&str; 15] = [
    "pub", "mod", "use", "fn", "async", "unsafe", "extern", "struct", "enum", "impl", "trait", "const", "static",
    "type", "let",
];

struct Attribute {
    is_for_tests: bool,
    path: Option<String>,
    words: BTreeSet<String>,
    paths: Vec<CodePath>,
}
