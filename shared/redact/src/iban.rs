//! International bank account numbers (IBAN, ISO 13616).

#[cfg(test)]
mod tests;

use crate::view::{CELL, STACK};

/// Length of an IBAN in characters, by country code. Source: the SWIFT IBAN Registry, release 101.
///
/// Territories that use another country's code have no row, e.g. Guernsey and Jersey (`GB`), Åland (`FI`), and French
/// Guiana (`FR`).
#[rustfmt::skip]
const REGISTERED: [(&str, usize); 89] = [
    ("AD", 24), ("AE", 23), ("AL", 28), ("AT", 20), ("AZ", 28), ("BA", 20), ("BE", 16), ("BG", 22), ("BH", 22),
    ("BI", 27), ("BR", 29), ("BY", 28), ("CH", 21), ("CR", 22), ("CY", 28), ("CZ", 24), ("DE", 22), ("DJ", 27),
    ("DK", 18), ("DO", 28), ("EE", 20), ("EG", 29), ("ES", 24), ("FI", 18), ("FK", 18), ("FO", 18), ("FR", 27),
    ("GB", 22), ("GE", 22), ("GI", 23), ("GL", 18), ("GR", 27), ("GT", 28), ("HN", 28), ("HR", 21), ("HU", 28),
    ("IE", 22), ("IL", 23), ("IQ", 23), ("IS", 26), ("IT", 27), ("JO", 30), ("KW", 30), ("KZ", 20), ("LB", 28),
    ("LC", 32), ("LI", 21), ("LT", 20), ("LU", 20), ("LV", 21), ("LY", 25), ("MC", 27), ("MD", 24), ("ME", 22),
    ("MK", 19), ("MN", 20), ("MR", 27), ("MT", 31), ("MU", 30), ("NI", 28), ("NL", 18), ("NO", 15), ("OM", 23),
    ("PK", 24), ("PL", 28), ("PS", 29), ("PT", 25), ("QA", 29), ("RO", 24), ("RS", 22), ("RU", 33), ("SA", 24),
    ("SC", 31), ("SD", 18), ("SE", 24), ("SI", 19), ("SK", 24), ("SM", 27), ("SO", 23), ("ST", 25), ("SV", 28),
    ("TL", 23), ("TN", 24), ("TR", 26), ("UA", 29), ("VA", 22), ("VG", 24), ("XK", 20), ("YE", 30),
];

/// Lengths of countries that issue IBANs without being in the registry.
#[rustfmt::skip]
const UNREGISTERED: [(&str, usize); 6] = [
    ("DZ", 26), ("IR", 26), ("MA", 28), ("MG", 27), ("MZ", 25), ("SN", 28),
];
/// The most characters between two characters of one IBAN that are not part of it.
const MAX_GAP: usize = 3;

/// Finds IBANs with the length of their country and valid check digits, with or without separators, also across a line
/// break.
pub(crate) fn find(chars: &[char], mut found: impl FnMut(usize, usize)) {
    for start in 0..chars.len() {
        if chars[start].is_ascii_alphabetic()
            && begins_here(chars, start)
            && let Some(end) = find_end(chars, start)
        {
            found(start, end);
        }
    }
}

/// Returns whether an IBAN may begin here: after a character that is neither a letter nor a digit, or after the word
/// `IBAN`.
fn begins_here(chars: &[char], start: usize) -> bool {
    if start == 0 || !chars[start - 1].is_ascii_alphanumeric() {
        return true;
    }
    let before: String = chars[start.saturating_sub(4)..start].iter().collect();
    before.eq_ignore_ascii_case("iban")
}

/// Returns the end (exclusive) of the valid IBAN that begins at `start`, or `None`.
fn find_end(chars: &[char], start: usize) -> Option<usize> {
    let country: String = collect_characters(chars, start, 2)?.iter().map(|(_, character)| *character).collect();
    let iban = collect_characters(chars, start, length_of(&country)?)?;
    let end = iban.last()?.0 + 1;
    let text: String = iban.iter().map(|(_, character)| *character).collect();
    let ends_here = !chars.get(end).is_some_and(char::is_ascii_alphanumeric);
    (ends_here && is_plausible(&iban) && mod_97(&text) == Some(1)).then_some(end)
}

fn length_of(country: &str) -> Option<usize> {
    let mut rows = REGISTERED.iter().chain(&UNREGISTERED);
    rows.find(|(code, _)| *code == country).map(|(_, length)| *length)
}

/// Returns the next `count` letters and digits in upper case with their positions. Spaces, dashes and dots are skipped,
/// and at most one line break.
fn collect_characters(chars: &[char], start: usize, count: usize) -> Option<Vec<(usize, char)>> {
    let mut characters = vec![(start, chars[start].to_ascii_uppercase())];
    let mut line_breaks = 0;
    while characters.len() < count {
        let gap_start = characters.last()?.0 + 1;
        let candidates = chars[gap_start..].iter().take(MAX_GAP + 1);
        let gap = candidates.take_while(|character| " -.\n".contains(**character) || [CELL, STACK].contains(character));
        let gap = gap.count();
        let next = gap_start + gap;
        line_breaks += chars[gap_start..next].iter().filter(|character| **character == '\n').count();
        if gap > MAX_GAP || line_breaks > 1 {
            return None;
        }
        let character = chars.get(next).filter(|character| character.is_ascii_alphanumeric())?;
        characters.push((next, character.to_ascii_uppercase()));
    }
    Some(characters)
}

/// Returns whether the characters look like an IBAN and not like words whose checksum is valid by chance: two check
/// digits, and either no separators or no more letters than digits.
fn is_plausible(iban: &[(usize, char)]) -> bool {
    let has_check_digits = iban[2..4].iter().all(|(_, character)| character.is_ascii_digit());
    let is_unseparated = iban.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1);
    let digits = iban[4..].iter().filter(|(_, character)| character.is_ascii_digit()).count();
    has_check_digits && (is_unseparated || digits * 2 >= iban.len() - 4)
}

/// Returns the remainder of ISO 7064, MOD 97-10, with the country and check digits last and `A` = 10. Valid IBANs have
/// the remainder 1.
fn mod_97(iban: &str) -> Option<u32> {
    let (country_and_check, account) = iban.split_at_checked(4)?;
    account.chars().chain(country_and_check.chars()).try_fold(0, |remainder, character| {
        let value = character.to_digit(36)?;
        let shift = if value < 10 { 10 } else { 100 };
        Some((remainder * shift + value) % 97)
    })
}
