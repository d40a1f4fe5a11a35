//! Detects a model that repeats itself, and removes the repetition from its text.

use serde::Deserialize;

/// When the text of a page is checked and what counts as repetition. Lengths are in characters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepetitionRule {
    /// Length at the first check.
    pub first_check: usize,
    /// Growth between two checks.
    pub check_every: usize,
    /// Length of the checked tail.
    pub tail: usize,
    /// Maximum length of a repeated unit.
    pub longest_unit: usize,
    /// Number of consecutive units at the end that stops generation.
    pub repeats: usize,
    /// Texts shorter than this are not cleaned.
    pub clean_from: usize,
    /// Number of consecutive units at the end of a finished text from which only the first is kept.
    pub clean_repeats: usize,
}

impl RepetitionRule {
    /// The rule of HunyuanOCR's releases; the same as in `export/manifest.py`.
    pub const DEFAULT: Self = Self {
        first_check: 4_000,
        check_every: 1_000,
        tail: 8_000,
        longest_unit: 256,
        repeats: 8,
        clean_from: 2_000,
        clean_repeats: 10,
    };
}

/// Watches the growing answer of a remote server for repetition, with the default rule.
///
/// # Examples
/// ```
/// use quire_ocr::{StreamRepetitionGuard, without_repetition};
///
/// let answer = format!("Total 5. {}", "and so on ".repeat(1_000));
/// assert!(StreamRepetitionGuard::new().detects_repetition(&answer));
/// assert_eq!(without_repetition(&answer), "Total 5. and so on ");
/// ```
#[derive(Debug)]
pub struct StreamRepetitionGuard {
    guard: RepetitionGuard,
    bytes: usize,
    characters: usize,
}

impl StreamRepetitionGuard {
    /// Creates a guard for a new answer.
    pub const fn new() -> Self {
        Self { guard: RepetitionGuard::new(&RepetitionRule::DEFAULT), bytes: 0, characters: 0 }
    }

    /// Returns whether the answer ends in a repetition. `answer` must start with the text of the previous call. Checks
    /// only when the answer has grown enough, so calls are cheap.
    pub fn detects_repetition(&mut self, answer: &str) -> bool {
        self.characters += answer.get(self.bytes..).map_or(0, |more| more.chars().count());
        self.bytes = answer.len();
        self.guard.detects_repetition(&RepetitionRule::DEFAULT, answer, self.characters)
    }
}

impl Default for StreamRepetitionGuard {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns a finished answer up to the first of the repeated units at its end, or all of it.
pub fn without_repetition(text: &str) -> &str {
    &text[..length_without_repetition(&RepetitionRule::DEFAULT, text)]
}

/// Watches the growing text of one page for repetition.
#[derive(Debug)]
pub struct RepetitionGuard {
    next_check: usize,
}

impl RepetitionGuard {
    /// Creates a guard for a new page.
    pub const fn new(rule: &RepetitionRule) -> Self {
        Self { next_check: rule.first_check }
    }

    /// Returns whether the text, of this many characters, ends in a repetition. Checks only when it has grown enough.
    pub fn detects_repetition(&mut self, rule: &RepetitionRule, text: &str, characters: usize) -> bool {
        if characters < self.next_check {
            return false;
        }
        self.next_check = characters + rule.check_every;
        let skip = text.char_indices().rev().nth(rule.tail.saturating_sub(1)).map_or(0, |(index, _)| index);
        let tail: Vec<char> = text[skip..].chars().collect();
        let longest = rule.longest_unit.min(tail.len() / rule.repeats.max(1));
        // Runs of white space are common in tables and code.
        let blank = tail.iter().rev().take_while(|character| character.is_whitespace()).count();
        (blank + 1..=longest).any(|unit| repeats(&tail, unit) >= rule.repeats)
    }
}

/// Returns how many times the last `unit` characters repeat consecutively at the end; at least 1.
fn repeats(text: &[char], unit: usize) -> usize {
    let same = text.iter().rev().zip(text.iter().rev().skip(unit)).take_while(|(a, b)| a == b).count();
    1 + same / unit
}

/// Returns the length in bytes of a finished text without the repetition at its end: up to the first repeated unit.
pub fn length_without_repetition(rule: &RepetitionRule, text: &str) -> usize {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() < rule.clean_from.max(1) || rule.clean_repeats == 0 {
        return text.len();
    }
    let found = (2..=characters.len() / rule.clean_repeats)
        .map(|unit| (unit, repeats(&characters, unit)))
        .find(|&(_, repeats)| repeats >= rule.clean_repeats);
    found.map_or(text.len(), |(unit, repeats)| {
        let dropped = &characters[characters.len() - unit * (repeats - 1)..];
        text.len() - dropped.iter().map(|character| character.len_utf8()).sum::<usize>()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: RepetitionRule = RepetitionRule {
        first_check: 40,
        check_every: 10,
        tail: 80,
        longest_unit: 8,
        repeats: 8,
        clean_from: 20,
        clean_repeats: 10,
    };

    fn trips(text: &str) -> bool {
        RepetitionGuard::new(&RULE).detects_repetition(&RULE, text, text.chars().count())
    }

    #[test]
    fn eight_repeated_units_stop_a_page() {
        assert!(trips(&format!("A page of text that is right. {}", "文字 ".repeat(8))));
        assert!(!trips(&format!("A page of text that is right. {}", "文字 ".repeat(7))));
        assert!(!trips(&format!("A page of text that is right. {}and more", "文字 ".repeat(8))), "not at the end");
        assert!(!trips(&"123456789 ".repeat(8)), "the unit is longer than what is looked for");
        assert!(!trips(&format!("A page of text that is right. {}", " ".repeat(20))), "blanks say nothing");
    }

    #[test]
    fn a_streamed_answer_is_checked_by_the_default_rule() {
        let start = "A page that begins well. ";
        let unit = "行 and 文 ";
        let mut guard = StreamRepetitionGuard::new();
        let mut answer = start.to_owned();
        while !guard.detects_repetition(&answer) {
            answer.push_str(unit);
            assert!(answer.len() < 10_000, "it should have been stopped");
        }
        assert!((4_000..4_010).contains(&answer.chars().count()), "at the first look");
        assert_eq!(without_repetition(&answer), format!("{start}{unit}"));
        assert_eq!(without_repetition(start), start);
    }

    #[test]
    fn a_text_is_checked_only_after_it_has_grown() {
        let mut guard = RepetitionGuard::new(&RULE);
        let circles = "ab".repeat(30);
        assert!(!guard.detects_repetition(&RULE, &circles, 39), "too short to tell");
        assert!(!guard.detects_repetition(&RULE, "no circles here, nothing to see at all", 40));
        assert!(!guard.detects_repetition(&RULE, &circles, 49), "it has hardly grown since");
        assert!(guard.detects_repetition(&RULE, &circles, 50));
    }

    #[test]
    fn ten_repeated_units_are_reduced_to_one() {
        let text = format!("The start, then {}", "行 ".repeat(10));
        assert_eq!(&text[..length_without_repetition(&RULE, &text)], "The start, then 行 ");
        let fewer = format!("The start, then {}", "行 ".repeat(9));
        assert_eq!(length_without_repetition(&RULE, &fewer), fewer.len());
        assert_eq!(length_without_repetition(&RULE, "aaaaaaaaaaaaaaaaaaa"), 19, "too short to be touched");
    }

    proptest! {
        #[test]
        fn the_cleaned_text_is_a_prefix(text in "[ab行 ]{0,80}") {
            prop_assert!(text.is_char_boundary(length_without_repetition(&RULE, &text)));
        }
    }
}
