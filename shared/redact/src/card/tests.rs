//! Numbers at both ends of each network's range, and their neighbors.

use super::*;

/// Luhn-valid numbers at the ends of every range, with its smallest and largest number of digits.
#[rustfmt::skip]
const CARDS: [&str; 57] = [
    // UATP.
    "100000000000009", "199900000000002",
    // Mir.
    "2200000000000004", "2200000000000000004", "2204000000000000", "2204000000000000006",
    // Mastercard (2-series).
    "2221000000000009", "2720000000000005",
    // Diners Club.
    "30000000000004", "3000000000000000007", "30500000000003", "3059000000000000003",
    "30950000000000", "3095000000000000007",
    // American Express.
    "340000000000009", "349900000000001",
    // Diners Club.
    "36000000000008", "3600000000000000004", "3699000000000000006",
    // American Express.
    "370000000000002", "379900000000004",
    // Diners Club.
    "38000000000006", "3800000000000000000", "39000000000005", "3999000000000000000",
    // JCB.
    "3528000000000007", "3528000000000000007", "3589000000000003", "3589000000000000009",
    // Visa, 13 digits.
    "4000000000006", "4999000000009",
    // Visa, 16 digits.
    "4000000000000002", "4999000000000005",
    // Visa, 19 digits.
    "4000000000000000006", "4999000000000000009",
    // Maestro and Verve.
    "500000000009", "5000000000000000005", "5099000000000000007",
    // Mastercard.
    "5100000000000008", "5500000000000004", "5599000000000006",
    // Maestro.
    "560000000003", "5600000000000000002", "590000000000", "5999000000000000008",
    // Discover, Maestro, RuPay and UnionPay.
    "600000000007", "6000000000000000004", "690000000008", "6999000000000000007",
    // RuPay and UnionPay.
    "8100000000000002", "8100000000000000000", "8200000000000001", "8299000000000000000",
    // Bank cards of China from before UnionPay.
    "9500000000000006", "9500000000000000000", "9599000000000000002",
    // Troy.
    "9792000000000003",
];
/// Luhn-valid numbers just outside a range: the prefix before or after it, or one digit too few or too many.
#[rustfmt::skip]
const NOT_CARDS: [&str; 51] = [
    "000000000000000", "10000000000008", "1000000000000008", "200000000000008", "2199000000000007", "220000000000004",
    "2205000000000009", "2220000000000000", "222100000000000", "22210000000000000", "2721000000000004",
    "29900000000008", "3000000000007", "30600000000001", "3060000000000000001", "30940000000001", "3095000000007",
    "30960000000009", "330000000000001", "34000000000000", "3400000000000000", "350000000000006", "3527000000000008",
    "352800000000007", "3590000000000000", "3600000000004", "37000000000007", "3700000000000007", "3800000000000",
    "400000000002", "40000000000002", "400000000000006", "40000000000000006", "400000000000000002", "490000000003",
    "5100000000003", "510000000000003", "51000000000000003", "5100000000000000003", "550000000004", "700000000005",
    "8000000000000003", "810000000000000", "8300000000000000", "9400000000000007", "950000000000000",
    "9600000000000005", "9791000000000004", "979200000000003", "97920000000000003", "9793000000000002",
];

#[test]
fn a_number_at_either_end_of_a_networks_range_is_a_card() {
    for number in CARDS {
        assert!(is_card(number), "{number}");
    }
}

#[test]
fn a_number_just_outside_a_networks_range_is_not_a_card() {
    for number in NOT_CARDS {
        assert!(is_luhn_valid(number) && !is_card(number), "{number}");
    }
}

#[test]
fn every_row_has_a_number_of_its_own_range() {
    for (row, network) in NETWORKS.iter().enumerate() {
        assert!(CARDS.iter().any(|number| network.contains(number)), "row {row}");
    }
}

#[test]
fn a_wrong_digit_is_detected_at_every_position() {
    let valid = "4111111111111111";
    assert!(is_card(valid));
    for index in 0..valid.len() {
        let mut wrong = valid.to_owned();
        let digit = (wrong.as_bytes()[index] - b'0' + 3) % 10;
        wrong.replace_range(index..=index, &digit.to_string());
        assert!(!is_luhn_valid(&wrong), "{wrong}");
    }
}
