//! Payment card numbers (ISO/IEC 7812-1).

#[cfg(test)]
mod tests;

use crate::digits::{DigitGroup, all_digits, are_spread, contain_date, has_plain_separators, is_in_series, sequences};

/// A range of card numbers: the first and last value of the leading digits, and the number of digits.
struct CardNetwork {
    first: u32,
    last: u32,
    shortest: usize,
    longest: usize,
}

const fn network(first: u32, last: u32, shortest: usize, longest: usize) -> CardNetwork {
    CardNetwork { first, last, shortest, longest }
}

/// The ranges in use, by the networks' published issuer identification numbers.
///
/// Trade-off: the Luhn check alone accepts one number in ten, so that one order number in ten would be redacted.
/// Numbers outside these ranges are therefore left alone.
const NETWORKS: [CardNetwork; 20] = [
    // UATP.
    network(1, 1, 15, 15),
    // Mir.
    network(2200, 2204, 16, 19),
    // Mastercard (2-series).
    network(2221, 2720, 16, 16),
    // Diners Club.
    network(300, 305, 14, 19),
    network(3095, 3095, 14, 19),
    // American Express.
    network(34, 34, 15, 15),
    // Diners Club.
    network(36, 36, 14, 19),
    // American Express.
    network(37, 37, 15, 15),
    // Diners Club.
    network(38, 39, 14, 19),
    // JCB.
    network(3528, 3589, 16, 19),
    // Visa.
    network(4, 4, 13, 13),
    network(4, 4, 16, 16),
    network(4, 4, 19, 19),
    // Maestro and Verve.
    network(50, 50, 12, 19),
    // Mastercard.
    network(51, 55, 16, 16),
    // Maestro.
    network(56, 59, 12, 19),
    // Discover, Maestro, RuPay and UnionPay.
    network(60, 69, 12, 19),
    // RuPay and UnionPay.
    network(81, 82, 16, 19),
    // Bank cards of China from before UnionPay.
    network(95, 95, 16, 19),
    // Troy.
    network(9792, 9792, 16, 16),
];

/// Finds numbers of 12 to 19 digits, with or without separators, also across a line break.
pub(crate) fn find(chars: &[char], run: &[DigitGroup], mut found: impl FnMut(usize, usize)) {
    for groups in sequences(run, 12, 19) {
        let digits = all_digits(chars, groups);
        // More than two groups per five digits are table cells, not a number that a scan has split.
        let is_table = groups.len() > 1 && groups.len() * 5 > digits.len() * 2;
        let is_one_number = if are_spread(chars, groups) {
            has_card_groups(groups) && !is_in_series(chars, run, groups)
        } else {
            !is_table && has_plain_separators(chars, groups) && !contain_date(chars, groups)
        };
        if is_one_number && !continues_identifier(chars, groups[0].start) && is_card(&digits) {
            found(groups[0].start, groups[groups.len() - 1].end);
        }
    }
}

/// Returns whether the digits continue an identifier of digits and letters: `1Z4111…`. A letter alone may be the end of
/// a word that OCR has joined with the number.
fn continues_identifier(chars: &[char], start: usize) -> bool {
    let before = chars[..start].iter().rev();
    let word: Vec<char> = before.take(8).take_while(|character| character.is_ascii_alphanumeric()).copied().collect();
    word.iter().any(char::is_ascii_digit)
}

/// Returns whether the groups are those that are printed on cards. Between cells of a table only these are one number.
fn has_card_groups(groups: &[DigitGroup]) -> bool {
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    matches!(lengths[..], [4, 4, 4, 1..=4] | [4, 4, 4, 4, 1..=3] | [4, 6, 4 | 5])
}

/// Returns whether the digits are in a network's range and have a valid check digit.
fn is_card(digits: &str) -> bool {
    NETWORKS.iter().any(|network| network.contains(digits)) && is_luhn_valid(digits)
}

impl CardNetwork {
    fn contains(&self, digits: &str) -> bool {
        let prefix_length = self.first.checked_ilog10().unwrap_or_default() as usize + 1;
        let prefix = digits.get(..prefix_length).and_then(|prefix| prefix.parse::<u32>().ok());
        (self.shortest..=self.longest).contains(&digits.len())
            && prefix.is_some_and(|prefix| (self.first..=self.last).contains(&prefix))
    }
}

/// The Luhn check (ISO/IEC 7812-1, annex B): every second digit from the right counts twice.
fn is_luhn_valid(digits: &str) -> bool {
    let mut sum = 0;
    for (index, digit) in digits.bytes().rev().enumerate() {
        let factor = if index % 2 == 1 { 2 } else { 1 };
        let product = u32::from(digit - b'0') * factor;
        sum += product / 10 + product % 10;
    }
    sum.is_multiple_of(10)
}
