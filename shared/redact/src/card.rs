//! Payment cards' numbers.

use crate::digits::{Run, digits, is_plain, sequences};

/// What a network's numbers begin with, as a range of their first digits, and how many digits they have.
struct Network {
    first: u32,
    last: u32,
    shortest: usize,
    longest: usize,
}

const fn network(first: u32, last: u32, shortest: usize, longest: usize) -> Network {
    Network { first, last, shortest, longest }
}

/// By ISO/IEC 7812 anything may be a card; those that are in use begin like this. One number in ten is right by Luhn's
/// formula by chance, and so would be one order number in ten.
const NETWORKS: [Network; 20] = [
    // UATP
    network(1, 1, 15, 15),
    // Mir, Mastercard
    network(2200, 2204, 16, 19),
    network(2221, 2720, 16, 16),
    // Diners Club, American Express, JCB
    network(300, 305, 14, 19),
    network(3095, 3095, 14, 19),
    network(34, 34, 15, 15),
    network(36, 36, 14, 19),
    network(37, 37, 15, 15),
    network(38, 39, 14, 19),
    network(3528, 3589, 16, 19),
    // Visa
    network(4, 4, 13, 13),
    network(4, 4, 16, 16),
    network(4, 4, 19, 19),
    // Mastercard, Maestro, Verve and others
    network(50, 50, 12, 19),
    network(51, 55, 16, 16),
    network(56, 59, 12, 19),
    // Discover, RuPay, UnionPay, Maestro
    network(60, 69, 12, 19),
    network(81, 82, 16, 19),
    // Banks of China before UnionPay, Troy
    network(95, 95, 16, 19),
    network(9792, 9792, 16, 16),
];

/// Finds numbers of 12 to 19 digits, in groups or not, also over a line's end.
pub(crate) fn find(chars: &[char], run: &Run, mut found: impl FnMut(usize, usize)) {
    for groups in sequences(run, 12, 19) {
        let digits = digits(chars, groups);
        // So many short groups are the cells of a table rather than what a scan has torn apart.
        let torn = groups.len() > 1 && groups.len() * 5 > digits.len() * 2;
        if !torn && is_card(&digits) && is_plain(chars, groups) {
            found(groups[0].start, groups[groups.len() - 1].end);
        }
    }
}

fn is_card(digits: &str) -> bool {
    let of = |network: &Network| {
        let long = network.first.checked_ilog10().unwrap_or_default() as usize + 1;
        let begins = digits.get(..long).and_then(|begin| begin.parse::<u32>().ok());
        let fits = (network.shortest..=network.longest).contains(&digits.len());
        fits && begins.is_some_and(|begin| (network.first..=network.last).contains(&begin))
    };
    NETWORKS.iter().any(of) && luhn(digits)
}

fn luhn(digits: &str) -> bool {
    let sum: u32 = (digits.bytes().rev().enumerate())
        .map(|(place, digit)| {
            let doubled = u32::from(digit - b'0') * if place % 2 == 1 { 2 } else { 1 };
            doubled / 10 + doubled % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_digit_is_found_out_anywhere() {
        let right = "4111111111111111";
        assert!(is_card(right));
        for place in 0..right.len() {
            let mut wrong = right.to_owned();
            let digit = (wrong.as_bytes()[place] - b'0' + 3) % 10;
            wrong.replace_range(place..=place, &digit.to_string());
            assert!(!luhn(&wrong), "{wrong}");
        }
    }

    #[test]
    fn what_begins_like_no_card_is_none() {
        assert!(luhn("7000000000000005") && !is_card("7000000000000005"));
    }
}
