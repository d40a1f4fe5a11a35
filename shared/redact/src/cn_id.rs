//! Resident identity numbers of the People's Republic of China.

use crate::digits::{Group, Run, digits, is_plain, sequences};

/// The first two digits: provinces, and those given to residents from Taiwan, Hong Kong and Macao and to foreigners.
const REGIONS: [&str; 35] = [
    "11", "12", "13", "14", "15", "21", "22", "23", "31", "32", "33", "34", "35", "36", "37", "41", "42", "43", "44",
    "45", "46", "50", "51", "52", "53", "54", "61", "62", "63", "64", "65", "71", "81", "82", "83",
];
/// What each of the 17 digits counts for.
const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
/// The last character, by the sum's remainder.
const CHECKS: [char; 11] = ['1', '0', 'X', '9', '8', '7', '6', '5', '4', '3', '2'];
/// As many groups as a scan makes of one.
const MOST_GROUPS: usize = 7;

/// Finds numbers of 18 characters, in groups or not, also over a line's end.
pub(crate) fn find(chars: &[char], run: &Run, mut found: impl FnMut(usize, usize)) {
    for groups in sequences(run, 17, 18).filter(|groups| groups.len() <= MOST_GROUPS) {
        let digits = digits(chars, groups);
        let (start, last) = (groups[0].start, groups[groups.len() - 1]);
        let end = if digits.len() == 18 { Some(last.end) } else { ends_with_x(chars, last) };
        let Some(end) = end else { continue };
        let check = if digits.len() == 18 { &digits[17..] } else { "X" };
        if is_id(&digits[..17], check) && is_plain(chars, groups) {
            found(start, end);
        }
    }
}

/// Up to where the `X` goes that follows the digits, if it does.
fn ends_with_x(chars: &[char], last: Group) -> Option<usize> {
    let between = chars[last.end..].iter().take(2).take_while(|character| [' ', '\n'].contains(character)).count();
    let x = last.end + between;
    let is_x = chars.get(x).is_some_and(|character| "Xx×ХхΧχ".contains(*character));
    let alone = !chars.get(x + 1).is_some_and(char::is_ascii_alphanumeric);
    (is_x && alone).then_some(x + 1)
}

fn is_id(digits: &str, check: &str) -> bool {
    let sum: u32 = digits.bytes().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    let number = |from: usize, to: usize| digits[from..to].parse::<u32>().unwrap_or_default();
    let region = REGIONS.contains(&&digits[..2]) || digits.starts_with('9');
    region && is_date(number(6, 10), number(10, 12), number(12, 14)) && check.chars().eq([CHECKS[sum as usize % 11]])
}

fn is_date(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 31,
    };
    (1850..2100).contains(&year) && (1..=12).contains(&month) && (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_is_one_and_its_neighbors_are_none() {
        assert!(is_id("11010519491231002", "X"));
        assert!(is_id("44052418800101001", "4"));
        for (digits, check) in [
            ("11010519491231002", "1"),
            ("11010519491331002", "X"),
            ("00010519491231002", "X"),
            ("11010519490229002", "X"),
        ] {
            assert!(!is_id(digits, check), "{digits}{check}");
        }
    }

    #[test]
    fn only_leap_years_have_a_29th_of_february() {
        assert!(is_date(2000, 2, 29) && is_date(2024, 2, 29));
        assert!(!is_date(1900, 2, 29) && !is_date(2023, 2, 29));
    }
}
