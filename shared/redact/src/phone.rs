//! Phone numbers: those marked as such by a `+` or a word before them, and those in a form that only phone numbers
//! have. Any other digits are left alone, e.g. invoice numbers, dates and amounts.

mod labels;
mod prefix;
mod shape;

use crate::digits::{DigitGroup, sequences};
use labels::label_before;
use prefix::PhonePrefix;
use shape::{PhoneShape, is_likely_phone, is_surely_phone};

/// `00` and at most 15 digits (ITU-T E.164).
const MAX_DIGITS: usize = 17;
const MIN_DIGITS: usize = 7;
/// From this number of digits on, a number with `+` is complete, so that the next line begins another one.
const COMPLETE_DIGITS: usize = 11;

/// Finds the longest number that begins with each group. It continues across a line break only if it is not complete on
/// its line. A likely number, unlike a sure one, does not begin inside another number.
pub(crate) fn find(chars: &[char], run: &[DigitGroup], mut found: impl FnMut(usize, usize)) {
    let mut covered = 0;
    for (first, group) in run.iter().enumerate() {
        let prefix = PhonePrefix::parse(chars, *group);
        let allows_likely = prefix.start >= covered;
        let candidates = find_candidates(chars, &run[first..], &prefix, allows_likely);
        let Some(groups) = choose_candidate(chars, &candidates, prefix.has_plus) else { continue };
        let end = find_extension_end(chars, groups[groups.len() - 1].end);
        covered = covered.max(end);
        found(prefix.start, end);
    }
}

/// Returns the sequences that begin with the run's first group and are phone numbers, shortest first.
fn find_candidates<'a>(
    chars: &[char],
    run: &'a [DigitGroup],
    prefix: &PhonePrefix,
    allows_likely: bool,
) -> Vec<&'a [DigitGroup]> {
    let label = label_before(chars, prefix.start);
    let is_phone = |shape: &PhoneShape| is_surely_phone(shape) || (allows_likely && is_likely_phone(shape));
    sequences(run, MIN_DIGITS, MAX_DIGITS)
        .take_while(|groups| groups[0] == run[0])
        .filter(|groups| {
            let shape = PhoneShape::new(chars, prefix, label, groups);
            is_phone(&shape) || shape.joined_at_line_break().is_some_and(|joined| is_phone(&joined))
        })
        .collect()
}

/// Returns the longest candidate on one line if it is complete, otherwise the longest one across one line break.
fn choose_candidate<'a>(chars: &[char], candidates: &[&'a [DigitGroup]], has_plus: bool) -> Option<&'a [DigitGroup]> {
    let on_one_line = longest_candidate(chars, candidates, 0);
    let is_complete = on_one_line.is_some_and(|groups| !has_plus || count_digits(groups) >= COMPLETE_DIGITS);
    if is_complete { on_one_line } else { longest_candidate(chars, candidates, 1).or(on_one_line) }
}

fn longest_candidate<'a>(
    chars: &[char],
    candidates: &[&'a [DigitGroup]],
    max_line_breaks: usize,
) -> Option<&'a [DigitGroup]> {
    candidates.iter().rev().find(|groups| count_line_breaks(chars, groups) <= max_line_breaks).copied()
}

fn count_line_breaks(chars: &[char], groups: &[DigitGroup]) -> usize {
    let text = &chars[groups[0].start..groups[groups.len() - 1].end];
    text.iter().filter(|character| **character == '\n').count()
}

fn count_digits(groups: &[DigitGroup]) -> usize {
    groups.iter().map(|group| group.len()).sum()
}

/// Returns the end of the extension that follows the number, e.g. `-8001`, `转8001` or `ext. 8001`, or `end` if none
/// follows.
fn find_extension_end(chars: &[char], end: usize) -> usize {
    let after_dash = skip(chars, end, "-");
    let dashed_digits = count_digits_at(chars, after_dash);
    if after_dash == end + 1 && (1..=6).contains(&dashed_digits) {
        return after_dash + dashed_digits;
    }
    let word = skip(chars, end, " ,");
    let rest: String = chars[word..].iter().take(10).collect::<String>().to_lowercase();
    let marks = ["extension", "ext", "x", "转", "轉", "分机", "分機", "内线", "#"];
    let Some(mark) = marks.iter().find(|mark| rest.starts_with(**mark)) else { return end };
    let number = skip(chars, word + mark.chars().count(), " .:");
    let digits = count_digits_at(chars, number);
    if (1..=6).contains(&digits) { number + digits } else { end }
}

fn count_digits_at(chars: &[char], from: usize) -> usize {
    chars[from.min(chars.len())..].iter().take_while(|character| character.is_ascii_digit()).count()
}

/// Skips up to two of these characters.
fn skip(chars: &[char], from: usize, characters: &str) -> usize {
    from + chars[from..].iter().take(2).take_while(|character| characters.contains(**character)).count()
}
