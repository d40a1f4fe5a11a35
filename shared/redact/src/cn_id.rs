//! Resident identity numbers of the People's Republic of China (GB 11643-1999).

use crate::{
    digits::{DigitGroup, all_digits, are_spread, has_plain_separators, sequences},
    view::{CELL, STACK},
};

/// The first two digits: provinces (GB/T 2260), and 81 to 83 for residents from Hong Kong, Macao and Taiwan.
const REGIONS: [&str; 35] = [
    "11", "12", "13", "14", "15", "21", "22", "23", "31", "32", "33", "34", "35", "36", "37", "41", "42", "43", "44",
    "45", "46", "50", "51", "52", "53", "54", "61", "62", "63", "64", "65", "71", "81", "82", "83",
];
/// The weight of each of the 17 digits in the checksum (ISO 7064, MOD 11-2).
const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
/// The check character by the remainder of the checksum.
const CHECK_CHARACTERS: [char; 11] = ['1', '0', 'X', '9', '8', '7', '6', '5', '4', '3', '2'];
/// The most groups into which a scan splits one number.
const MAX_GROUPS: usize = 7;

/// Finds numbers of 18 characters, with or without separators, also across a line break.
pub(crate) fn find(chars: &[char], run: &[DigitGroup], mut found: impl FnMut(usize, usize)) {
    for groups in sequences(run, 17, 18) {
        let digits = all_digits(chars, groups);
        let last = groups[groups.len() - 1];
        let (end, check) = match digits.get(17..) {
            Some(check) if !check.is_empty() => (last.end, check),
            _ => match find_final_x(chars, last) {
                Some(end) => (end, "X"),
                None => continue,
            },
        };
        let is_one_number =
            (groups.len() <= MAX_GROUPS && has_plain_separators(chars, groups)) || are_spread(chars, groups);
        if is_one_number && is_valid(&digits[..17], check) {
            found(groups[0].start, end);
        }
    }
}

/// Returns the end of the check character `X` that follows the last group, or `None` if none follows.
fn find_final_x(chars: &[char], last: DigitGroup) -> Option<usize> {
    let spaces =
        chars[last.end..].iter().take(2).take_while(|character| [' ', '\n', CELL, STACK].contains(character)).count();
    let index = last.end + spaces;
    // Letters that OCR confuses with X: the multiplication sign, Cyrillic Ha and Greek Chi.
    let is_x = chars.get(index).is_some_and(|character| "Xx×ХхΧχ".contains(*character));
    let is_whole_word = !chars.get(index + 1).is_some_and(char::is_ascii_alphanumeric);
    (is_x && is_whole_word).then_some(index + 1)
}

/// Returns whether the 17 digits have a known region, a valid date of birth, and this check character. Numbers that
/// begin with 9 are those of permanent residents from abroad.
fn is_valid(digits: &str, check: &str) -> bool {
    let sum: u32 = digits.bytes().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    let has_region = REGIONS.contains(&&digits[..2]) || digits.starts_with('9');
    let is_birth_date = is_date(number(&digits[6..10]), number(&digits[10..12]), number(&digits[12..14]));
    has_region && is_birth_date && check.chars().eq([CHECK_CHARACTERS[sum as usize % 11]])
}

fn number(digits: &str) -> u32 {
    digits.parse().unwrap_or_default()
}

fn is_date(year: u32, month: u32, day: u32) -> bool {
    let is_leap_year = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap_year => 29,
        2 => 28,
        _ => 31,
    };
    (1850..2100).contains(&year) && (1..=12).contains(&month) && (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standards_example_is_valid_and_variations_of_it_are_not() {
        assert!(is_valid("11010519491231002", "X"));
        assert!(is_valid("44052418800101001", "4"));
        for (digits, check) in [
            ("11010519491231002", "1"),
            ("11010519491331002", "X"),
            ("00010519491231002", "X"),
            ("11010519490229002", "X"),
        ] {
            assert!(!is_valid(digits, check), "{digits}{check}");
        }
    }

    #[test]
    fn only_leap_years_have_a_29th_of_february() {
        assert!(is_date(2000, 2, 29) && is_date(2024, 2, 29));
        assert!(!is_date(1900, 2, 29) && !is_date(2023, 2, 29));
    }
}
