//! A customer's policy, checked and compiled.

use quire_tasks::{MAX_PATTERN_BYTES, MAX_PATTERNS, RedactKind, RedactPattern, RedactPolicy};
use regex::{Regex, RegexBuilder};

/// The longest name of a pattern, in characters.
pub const MAX_NAME_CHARS: usize = 32;
/// How large a compiled pattern may be, and what it may remember while it searches. Whoever writes a policy decides how
/// much work a page is: enough for any list of words, and too little for `(\w{500}){500}`.
const MAX_COMPILED_BYTES: usize = 256 * 1024;
/// How deep groups may lie in each other.
const MAX_NESTING: u32 = 32;
/// Texts in which a pattern that can match nothing at all does so, if it does anywhere.
const SAMPLES: [&str; 4] = ["", "a", " 1 a", "a-中 b"];

/// Why a policy is none. Decision: refuse the request; where it has been accepted before, fail the page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// It asks for nothing, which is surely not what was meant.
    #[error("name at least one of the kinds ({}), or a pattern", RedactKind::ALL.map(RedactKind::as_str).join(", "))]
    Empty,
    /// More patterns than are taken.
    #[error("there may be up to {MAX_PATTERNS} patterns")]
    TooManyPatterns,
    /// A pattern's name is not plain.
    #[error("a pattern's name is 1 to {MAX_NAME_CHARS} letters of ASCII, digits, `_` and `-`")]
    Name {
        /// Which pattern, from 0.
        pattern: usize,
    },
    /// A pattern is longer than is taken.
    #[error("a pattern's regular expression is 1 to {MAX_PATTERN_BYTES} bytes long")]
    Length {
        /// Which pattern, from 0.
        pattern: usize,
    },
    /// A pattern is no regular expression, or too large a one.
    #[error("the regular expression is not taken: {why}")]
    Regex {
        /// Which pattern, from 0.
        pattern: usize,
        /// What is wrong with it, without the expression.
        why: String,
    },
    /// A pattern matches where nothing is.
    #[error("the regular expression matches the empty text")]
    MatchesNothing {
        /// Which pattern, from 0.
        pattern: usize,
    },
}

impl InvalidPolicy {
    /// The part of the policy that is at fault, as a JSON pointer into it: `/patterns/2/regex`, say; empty for all of it.
    pub fn pointer(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::TooManyPatterns => "/patterns".to_owned(),
            Self::Name { pattern } => format!("/patterns/{pattern}/name"),
            Self::Length { pattern } | Self::Regex { pattern, .. } | Self::MatchesNothing { pattern } => {
                format!("/patterns/{pattern}/regex")
            }
        }
    }
}

/// A customer's own pattern, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) name: String,
    pub(crate) regex: Regex,
}

pub(crate) fn compile(policy: &RedactPolicy) -> Result<Vec<Pattern>, InvalidPolicy> {
    if policy.kinds.is_empty() && policy.patterns.is_empty() {
        return Err(InvalidPolicy::Empty);
    }
    if policy.patterns.len() > MAX_PATTERNS {
        return Err(InvalidPolicy::TooManyPatterns);
    }
    policy.patterns.iter().enumerate().map(|(pattern, custom)| compile_one(pattern, custom)).collect()
}

fn compile_one(pattern: usize, RedactPattern { name, regex }: &RedactPattern) -> Result<Pattern, InvalidPolicy> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !(1..=MAX_NAME_CHARS).contains(&name.len()) || !name.bytes().all(plain) {
        return Err(InvalidPolicy::Name { pattern });
    }
    if !(1..=MAX_PATTERN_BYTES).contains(&regex.len()) {
        return Err(InvalidPolicy::Length { pattern });
    }
    let compiled = RegexBuilder::new(regex)
        .size_limit(MAX_COMPILED_BYTES)
        .dfa_size_limit(MAX_COMPILED_BYTES)
        .nest_limit(MAX_NESTING)
        .build()
        .map_err(|error| InvalidPolicy::Regex { pattern, why: why(&error) })?;
    if SAMPLES.iter().any(|sample| compiled.find_iter(sample).any(|found| found.is_empty())) {
        return Err(InvalidPolicy::MatchesNothing { pattern });
    }
    Ok(Pattern { name: name.clone(), regex: compiled })
}

/// The last line of what the compiler says: the ones before show the expression, which is nobody else's business.
fn why(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
        regex::Error::Syntax(text) => {
            let last = text.lines().last().unwrap_or_default().trim();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
        _ => "it cannot be compiled".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, regex: &str) -> Option<InvalidPolicy> {
        let pattern = RedactPattern { name: name.to_owned(), regex: regex.to_owned() };
        compile(&RedactPolicy { patterns: vec![pattern], ..RedactPolicy::default() }).err()
    }

    #[test]
    fn a_policy_that_asks_for_nothing_is_refused() {
        assert_eq!(compile(&RedactPolicy::default()).err(), Some(InvalidPolicy::Empty));
    }

    #[test]
    fn a_pattern_is_refused_by_the_part_that_is_at_fault() {
        for (name, regex, pointer) in [
            ("", "a", "/patterns/0/name"),
            ("a b", "a", "/patterns/0/name"),
            ("名", "a", "/patterns/0/name"),
            (&"n".repeat(MAX_NAME_CHARS + 1), "a", "/patterns/0/name"),
            ("n", "", "/patterns/0/regex"),
            ("n", &"a".repeat(MAX_PATTERN_BYTES + 1), "/patterns/0/regex"),
            ("n", "a(", "/patterns/0/regex"),
            ("n", r"(?=a)b", "/patterns/0/regex"),
            ("n", r"(a)\1", "/patterns/0/regex"),
            ("n", r"(\w{500}){500}", "/patterns/0/regex"),
            ("n", &"(".repeat(60).replace('(', "(a"), "/patterns/0/regex"),
            ("n", "a*", "/patterns/0/regex"),
            ("n", r"\b", "/patterns/0/regex"),
            ("n", "$", "/patterns/0/regex"),
            ("n", "x|", "/patterns/0/regex"),
        ] {
            let refused = refused(name, regex).unwrap_or_else(|| panic!("{name:?} {regex:?} is taken"));
            assert_eq!(refused.pointer(), pointer, "{name:?} {regex:?}");
        }
        assert_eq!(refused("order-no_1", r"A\d{6}"), None);
    }

    #[test]
    fn what_is_said_of_an_expression_does_not_repeat_it() {
        let said = refused("n", "secret(").expect("it is refused").to_string();
        assert!(said.contains("unclosed group") && !said.contains("secret"), "{said}");
    }

    #[test]
    fn there_may_be_so_many_patterns_and_no_more() {
        let pattern = RedactPattern { name: "n".to_owned(), regex: "a".to_owned() };
        let policy = |count| RedactPolicy { patterns: vec![pattern.clone(); count], ..RedactPolicy::default() };
        assert!(compile(&policy(MAX_PATTERNS)).is_ok());
        assert_eq!(compile(&policy(MAX_PATTERNS + 1)).err(), Some(InvalidPolicy::TooManyPatterns));
    }
}
