//! Validation and compilation of a customer's policy.

use quire_tasks::{MAX_PATTERN_BYTES, MAX_PATTERNS, RedactKind, RedactPattern, RedactPolicy};
use regex::{Regex, RegexBuilder};

/// The longest name of a pattern, in characters.
pub const MAX_NAME_CHARS: usize = 32;
/// The most memory of a compiled pattern, and of its cache during a search.
///
/// Trade-off: customers choose the patterns, and these limits bound the processor time of a page. They suffice for a
/// list of words, but not for `(\w{500}){500}`.
const MAX_COMPILED_BYTES: usize = 256 * 1024;
/// The deepest nesting of groups.
const MAX_NESTING: u32 = 32;
/// Texts in at least one of which a pattern that can match the empty text does so.
const EMPTY_MATCH_SAMPLES: [&str; 4] = ["", "a", " 1 a", "a-中 b"];

/// Why a policy is invalid. Decision: refuse the request; if an earlier version accepted it, fail the page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRedactPolicy {
    /// It has neither kinds nor patterns.
    #[error("name at least one of the kinds ({}), or a pattern", RedactKind::ALL.map(RedactKind::as_str).join(", "))]
    Empty,
    /// It has more patterns than allowed.
    #[error("at most {MAX_PATTERNS} patterns are allowed")]
    TooManyPatterns,
    /// The name of a pattern has an invalid length or character.
    #[error("the name of a pattern must be 1 to {MAX_NAME_CHARS} ASCII letters, digits, `_` and `-`")]
    Name {
        /// Index of the pattern, from 0.
        pattern: usize,
    },
    /// A regular expression is empty or too long.
    #[error("the regular expression of a pattern must be 1 to {MAX_PATTERN_BYTES} bytes long")]
    Length {
        /// Index of the pattern, from 0.
        pattern: usize,
    },
    /// A regular expression is invalid or needs too much memory.
    #[error("the regular expression is invalid: {why}")]
    Regex {
        /// Index of the pattern, from 0.
        pattern: usize,
        /// The parse error, without the expression itself.
        why: String,
    },
    /// A regular expression matches the empty text.
    #[error("the regular expression matches the empty text")]
    MatchesNothing {
        /// Index of the pattern, from 0.
        pattern: usize,
    },
}

impl InvalidRedactPolicy {
    /// Returns the JSON pointer (RFC 6901) of the invalid part inside the policy, e.g. `/patterns/2/regex`. It is empty
    /// for the whole policy.
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

/// A compiled custom pattern.
#[derive(Debug, Clone)]
pub(crate) struct CompiledPattern {
    pub(crate) name: String,
    pub(crate) regex: Regex,
}

/// Validates a policy and compiles its patterns.
pub(crate) fn compile_patterns(policy: &RedactPolicy) -> Result<Vec<CompiledPattern>, InvalidRedactPolicy> {
    if policy.kinds.is_empty() && policy.patterns.is_empty() {
        return Err(InvalidRedactPolicy::Empty);
    }
    if policy.patterns.len() > MAX_PATTERNS {
        return Err(InvalidRedactPolicy::TooManyPatterns);
    }
    policy.patterns.iter().enumerate().map(|(index, pattern)| compile_pattern(index, pattern)).collect()
}

fn compile_pattern(index: usize, pattern: &RedactPattern) -> Result<CompiledPattern, InvalidRedactPolicy> {
    let RedactPattern { name, regex } = pattern;
    if !is_valid_name(name) {
        return Err(InvalidRedactPolicy::Name { pattern: index });
    }
    if !(1..=MAX_PATTERN_BYTES).contains(&regex.len()) {
        return Err(InvalidRedactPolicy::Length { pattern: index });
    }
    let compiled = RegexBuilder::new(regex)
        .size_limit(MAX_COMPILED_BYTES)
        .dfa_size_limit(MAX_COMPILED_BYTES)
        .nest_limit(MAX_NESTING)
        .build()
        .map_err(|error| InvalidRedactPolicy::Regex { pattern: index, why: describe(&error) })?;
    if EMPTY_MATCH_SAMPLES.iter().any(|sample| compiled.find_iter(sample).any(|found| found.is_empty())) {
        return Err(InvalidRedactPolicy::MatchesNothing { pattern: index });
    }
    Ok(CompiledPattern { name: name.clone(), regex: compiled })
}

fn is_valid_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=MAX_NAME_CHARS).contains(&name.len()) && name.bytes().all(is_plain)
}

/// Returns the last line of a parse error: the lines before it quote the expression, which may be confidential.
fn describe(error: &regex::Error) -> String {
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

    fn compile_error(name: &str, regex: &str) -> Option<InvalidRedactPolicy> {
        let pattern = RedactPattern { name: name.to_owned(), regex: regex.to_owned() };
        compile_patterns(&RedactPolicy { patterns: vec![pattern], ..RedactPolicy::default() }).err()
    }

    #[test]
    fn an_empty_policy_is_refused() {
        assert_eq!(compile_patterns(&RedactPolicy::default()).err(), Some(InvalidRedactPolicy::Empty));
    }

    #[test]
    fn the_pointer_names_the_invalid_part_of_a_pattern() {
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
            let error = compile_error(name, regex).unwrap_or_else(|| panic!("{name:?} {regex:?} is accepted"));
            assert_eq!(error.pointer(), pointer, "{name:?} {regex:?}");
        }
        assert_eq!(compile_error("order-no_1", r"A\d{6}"), None);
    }

    #[test]
    fn a_parse_error_does_not_quote_the_expression() {
        let message = compile_error("n", "secret(").expect("the group is not closed").to_string();
        assert!(message.contains("unclosed group") && !message.contains("secret"), "{message}");
    }

    #[test]
    fn the_number_of_patterns_is_limited() {
        let pattern = RedactPattern { name: "n".to_owned(), regex: "a".to_owned() };
        let policy = |count| RedactPolicy { patterns: vec![pattern.clone(); count], ..RedactPolicy::default() };
        assert!(compile_patterns(&policy(MAX_PATTERNS)).is_ok());
        let too_many = compile_patterns(&policy(MAX_PATTERNS + 1)).err();
        assert_eq!(too_many, Some(InvalidRedactPolicy::TooManyPatterns));
    }
}
