//! The forms in which phone numbers are written.

use super::{labels::PhoneLabel, prefix::PhonePrefix};
use crate::{
    digits::{DigitGroup, all_digits, gap},
    view::{CELL, STACK},
};

/// The features by which groups of digits are classified as a phone number.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent features")]
pub(crate) struct PhoneShape {
    has_plus: bool,
    label: PhoneLabel,
    /// Whether the first group is in brackets of its own.
    is_bracketed: bool,
    /// Whether a dash, dot or slash connects it to other characters: then it is part of a longer identifier.
    is_connected: bool,
    digits: String,
    /// Whether its groups are in cells of a table, or above each other.
    is_spread: bool,
    /// Whether it follows groups that are as long as its first one, as in a row of numbers.
    is_in_row: bool,
    lengths: Vec<usize>,
    gaps: Vec<String>,
}

impl PhoneShape {
    pub(crate) fn new(chars: &[char], prefix: &PhonePrefix, label: PhoneLabel, groups: &[DigitGroup]) -> Self {
        let gaps: Vec<String> = groups.windows(2).map(|pair| gap(chars, pair[0], pair[1]).iter().collect()).collect();
        let end = groups[groups.len() - 1].end;
        Self {
            has_plus: prefix.has_plus,
            label,
            is_bracketed: prefix.has_bracket && gaps.first().is_some_and(|gap| gap.starts_with(')')),
            is_connected: is_connected_before(chars, prefix.start) || is_connected_after(chars, end),
            digits: all_digits(chars, groups),
            is_spread: gaps.iter().any(|gap| gap.contains([CELL, STACK])),
            is_in_row: is_in_row(&chars[..prefix.start], groups[0].len()),
            lengths: groups.iter().map(|group| group.len()).collect(),
            gaps,
        }
    }

    /// Returns the shape with the two groups at the line break joined, or `None` without a line break or with a date.
    pub(crate) fn joined_at_line_break(&self) -> Option<Self> {
        if contains_date(self) {
            return None;
        }
        let index = self.gaps.iter().position(|gap| gap == "\n")?;
        let mut joined = self.clone();
        joined.gaps.remove(index);
        joined.lengths[index] += joined.lengths.remove(index + 1);
        Some(joined)
    }

    fn has_line_break(&self) -> bool {
        self.gaps.iter().any(|gap| gap.contains('\n'))
    }

    /// Returns whether it is split no further than people and scans do it.
    fn is_tidy(&self) -> bool {
        let is_wide = |gap: &String| gap.matches(' ').count() > 2 || gap.matches('\n').count() > 1;
        !self.gaps.iter().any(is_wide) && self.lengths.len() <= 7
    }
}

fn is_mark(character: Option<&char>) -> bool {
    character.is_some_and(|character| "-./_".contains(*character))
}

/// Returns whether the character belongs to a word, or is a previous redaction.
fn is_word(character: Option<&char>) -> bool {
    character.is_some_and(|character| character.is_alphanumeric() || *character == '\0')
}

fn is_connected_before(chars: &[char], start: usize) -> bool {
    let is_after_mark = start >= 2 && is_mark(chars.get(start - 1)) && is_word(chars.get(start - 2));
    let is_after_letter = start >= 1 && chars[start - 1].is_ascii_alphanumeric();
    is_after_mark || is_after_letter
}

fn is_connected_after(chars: &[char], end: usize) -> bool {
    is_mark(chars.get(end)) && is_word(chars.get(end + 1))
}

/// Returns whether a space and before it a group of the same length, or a previous redaction, precede the number.
fn is_in_row(before: &[char], length: usize) -> bool {
    let Some((' ', before)) = before.split_last() else { return false };
    let digits = before.iter().rev().take_while(|character| character.is_ascii_digit()).count();
    digits == length || before.last() == Some(&'\0')
}

/// Returns whether it is a phone number regardless of its surroundings.
pub(crate) fn is_surely_phone(shape: &PhoneShape) -> bool {
    let has_phone_length = (7..=15).contains(&shape.digits.len());
    // Without a label, numbers in cells are quantities; but these do not begin with 0.
    let is_area_and_number = shape.digits.starts_with('0') && shape.lengths.len() == 2;
    let is_labeled = shape.label == PhoneLabel::Phone && has_phone_length && !begins_with_date(shape);
    let is_marked = (shape.has_plus && is_international(&shape.digits)) || is_labeled;
    let is_chinese =
        is_chinese_mobile(shape) || (is_chinese_landline(shape) && (!shape.is_spread || is_area_and_number));
    shape.is_tidy() && (is_marked || is_chinese)
}

/// Returns whether it has a form that other numbers have too, and no label and nothing connected to it that indicates
/// another number.
pub(crate) fn is_likely_phone(shape: &PhoneShape) -> bool {
    let is_free = !shape.is_connected && !shape.is_spread && shape.label != PhoneLabel::Other && !contains_date(shape);
    is_free
        && shape.is_tidy()
        && (is_north_american(shape)
            || has_trunk_prefix(shape)
            || has_bracketed_area_code(shape)
            || has_international_prefix(shape))
}

/// Returns whether the digits begin with a country code assigned by ITU-T E.164 and have a length that it allows.
fn is_international(digits: &str) -> bool {
    let code_length = match digits.as_bytes() {
        [b'1' | b'7', ..] => 1,
        [b'2', b'0' | b'7', ..]
        | [b'3', b'0'..=b'4' | b'6' | b'9', ..]
        | [b'4', b'0' | b'1' | b'3'..=b'9', ..]
        | [b'5', b'1'..=b'8', ..]
        | [b'6', b'0'..=b'6', ..]
        | [b'8', b'1' | b'2' | b'4' | b'6', ..]
        | [b'9', b'0'..=b'5' | b'8', ..] => 2,
        [b'2' | b'3' | b'4' | b'5' | b'6' | b'8' | b'9', ..] => 3,
        _ => return false,
    };
    let longest = if digits.starts_with('1') { 11 } else { 15 };
    digits.len() >= code_length + 5 && (8..=longest).contains(&digits.len())
}

/// `0049 30 901820`. Without separators it may be any number.
fn has_international_prefix(shape: &PhoneShape) -> bool {
    let rest = shape.digits.strip_prefix("00");
    let is_separated = shape.lengths.len() > 1 && shape.lengths[0] >= 3;
    is_separated && !shape.has_line_break() && rest.is_some_and(is_international)
}

/// 11 digits that begin with 13 to 19, with or without the country code, in a few groups of any length of two or more.
fn is_chinese_mobile(shape: &PhoneShape) -> bool {
    let digits = &shape.digits;
    let Some(lead_length) = digits.len().checked_sub(11) else { return false };
    if lead_length > 4 {
        return false;
    }
    let (lead, number) = digits.split_at(lead_length);
    let begins_like_mobile = number.starts_with('1') && number.as_bytes()[1] >= b'3';
    // More groups are a row of numbers.
    let max_groups = if lead.is_empty() { 4 } else { 5 };
    let has_long_groups = shape.lengths.iter().all(|length| *length >= 2);
    begins_like_mobile
        && (!shape.is_spread || (shape.lengths == [3, 4, 4] && !shape.is_connected))
        && ["", "0", "86", "086", "0086"].contains(&lead)
        && shape.lengths.len() <= max_groups
        && has_long_groups
        && !shape.gaps.iter().any(|gap| gap.contains(['.', '/']))
}

/// An area code and a separate local number of seven or eight digits, or a service number that begins with 400 or 800.
fn is_chinese_landline(shape: &PhoneShape) -> bool {
    let digits = shape.digits.strip_prefix("0086").or_else(|| shape.digits.strip_prefix("86")).unwrap_or(&shape.digits);
    let lead_length = shape.digits.len() - digits.len();
    let has_lead = lead_length > 0;
    let groups: &[usize] = match shape.lengths[..] {
        [first, ref rest @ ..] if has_lead && first == lead_length => rest,
        _ if has_lead => return false,
        _ => &shape.lengths,
    };
    let [area, rest @ ..] = groups else { return false };
    let local: usize = rest.iter().sum();
    let has_few_groups = (1..=3).contains(&rest.len()) && rest.iter().all(|length| *length >= 3);
    let has_area_code = match digits.as_bytes() {
        [b'0', b'1', b'0', ..] | [b'0', b'2', b'0'..=b'9', ..] if *area == 3 => local == 8 || (local == 7 && has_lead),
        [b'0', b'3'..=b'9', ..] if *area == 4 => local == 7 || local == 8,
        [b'1', b'0', ..] | [b'2', _, ..] if has_lead => *area == 2 && local == 8,
        _ => false,
    };
    let begins_like_service = (digits.starts_with("400") || digits.starts_with("800")) && digits.len() == 10;
    let is_service = begins_like_service
        && !has_lead
        && (3..=4).contains(area)
        && shape.label != PhoneLabel::Other
        && !shape.has_line_break();
    let is_other_number = shape.is_connected && shape.label == PhoneLabel::Other;
    has_few_groups && !begins_with_date(shape) && (has_area_code || is_service) && !is_other_number
}

/// `(415) 555-2671`, `1-415-555-2671`; and the Russian form `8 (495) 123-45-67`.
fn is_north_american(shape: &PhoneShape) -> bool {
    let has_prefix = shape.lengths[0] == 1 && shape.lengths.len() > 1;
    let skipped = usize::from(has_prefix);
    let digits = &shape.digits[skipped..];
    if digits.len() != 10 {
        return false;
    }
    let prefix = if has_prefix { shape.digits.as_bytes()[0] } else { b'1' };
    let area = digits.as_bytes()[0];
    let exchange = digits.as_bytes()[3];
    let is_american = prefix == b'1' && area >= b'2' && exchange >= b'2';
    let is_russian = has_prefix && prefix == b'8' && [b'3', b'4', b'8', b'9'].contains(&area);
    let has_bracket = shape.is_bracketed || shape.gaps.iter().any(|gap| gap.contains(')'));
    match shape.lengths[skipped..] {
        [3, 3, 4] => is_american || is_russian,
        [3, 3, 2, 2] => is_russian,
        [3, 7] => has_bracket && is_american,
        _ => false,
    }
}

/// The national form of most of Europe and Asia: the trunk prefix 0, the area code and the number, with separators.
fn has_trunk_prefix(shape: &PhoneShape) -> bool {
    let groups = shape.lengths.len();
    let begins_with_trunk_prefix = shape.digits.starts_with('0') && !shape.digits.starts_with("00");
    let has_area_mark = shape.is_bracketed || shape.gaps.iter().any(|gap| gap.contains('/'));
    let has_enough_digits = match shape.digits.len() {
        10..=12 => true,
        9 => groups >= 3 || has_area_mark,
        _ => false,
    };
    let is_table_row = shape.is_in_row && shape.gaps.iter().all(|gap| gap == " ");
    // Two groups on two lines are just as likely two numbers.
    let is_two_lines = shape.has_line_break() && groups < 3;
    let has_pairs_only = shape.lengths.iter().all(|length| *length == 2);
    let has_equal_gaps = shape.gaps.windows(2).all(|pair| pair[0] == pair[1]);
    begins_with_trunk_prefix
        && has_enough_digits
        && !is_table_row
        && !is_two_lines
        && (2..=5).contains(&groups)
        && (2..=5).contains(&shape.lengths[0])
        && (!has_pairs_only || has_equal_gaps)
}

/// `(030) 901820`, `(11) 91234-5678`, but not a year in brackets.
fn has_bracketed_area_code(shape: &PhoneShape) -> bool {
    let area = shape.lengths[0];
    let is_year = area == 4 && (shape.digits.starts_with("19") || shape.digits.starts_with("20"));
    shape.is_bracketed
        && !is_year
        && (2..=5).contains(&area)
        && (6..=9).contains(&(shape.digits.len() - area))
        && shape.digits.len() >= 9
}

/// Returns whether the first three groups are a date of the 20th or 21st century, year first or year last, or whether
/// all digits are one (`20240131`).
fn begins_with_date(shape: &PhoneShape) -> bool {
    let [a, b, c, ..] = shape.lengths[..] else { return shape.lengths == [8] && is_compact_date(&shape.digits) };
    let first = number(&shape.digits[..a.min(4)]);
    let second = number(&shape.digits[a..a + b.min(4)]);
    let third = number(&shape.digits[a + b..a + b + c.min(4)]);
    let is_year_first = a == 4 && b <= 2 && c <= 2 && is_year(first) && is_month(second) && is_day(third);
    // Day and month in either order.
    let is_year_last = a <= 2 && b <= 2 && c == 4 && is_year(third) && is_day(first) && is_day(second);
    is_year_first || is_year_last
}

/// Returns whether a date with marks between its parts begins anywhere: `12 - 2024-01-31`, `31.01.2024 12`.
fn contains_date(shape: &PhoneShape) -> bool {
    let mut start = 0;
    let windows = shape.lengths.windows(3).zip(shape.gaps.windows(2));
    for (lengths, gaps) in windows {
        let is_marked = gaps[0] == gaps[1] && ["-", ".", "/"].contains(&gaps[0].as_str());
        let part = PhoneShape {
            digits: shape.digits[start..].to_owned(),
            lengths: lengths.to_vec(),
            gaps: gaps.to_vec(),
            ..shape.clone()
        };
        if is_marked && begins_with_date(&part) {
            return true;
        }
        start += lengths[0];
    }
    begins_with_date(shape)
}

/// A date without separators: `20240131`.
fn is_compact_date(digits: &str) -> bool {
    is_year(number(&digits[..4])) && is_month(number(&digits[4..6])) && is_day(number(&digits[6..8]))
}

fn number(digits: &str) -> u32 {
    digits.parse().unwrap_or(u32::MAX)
}

fn is_year(number: u32) -> bool {
    (1900..2100).contains(&number)
}

fn is_month(number: u32) -> bool {
    (1..=12).contains(&number)
}

fn is_day(number: u32) -> bool {
    (1..=31).contains(&number)
}
