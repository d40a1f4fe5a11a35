//! International bank account numbers.

/// Countries, and how many characters their numbers have in all.
#[rustfmt::skip]
const LENGTHS: [(&str, usize); 92] = [
    ("AD", 24), ("AE", 23), ("AL", 28), ("AT", 20), ("AZ", 28), ("BA", 20), ("BE", 16), ("BG", 22), ("BH", 22),
    ("BI", 27), ("BR", 29), ("BY", 28), ("CH", 21), ("CR", 22), ("CY", 28), ("CZ", 24), ("DE", 22), ("DJ", 27),
    ("DK", 18), ("DO", 28), ("DZ", 26), ("EE", 20), ("EG", 29), ("ES", 24), ("FI", 18), ("FK", 18), ("FO", 18),
    ("FR", 27), ("GB", 22), ("GE", 22), ("GI", 23), ("GL", 18), ("GR", 27), ("GT", 28), ("HN", 28), ("HR", 21),
    ("HU", 28), ("IE", 22), ("IL", 23), ("IQ", 23), ("IR", 26), ("IS", 26), ("IT", 27), ("JO", 30), ("KW", 30),
    ("KZ", 20), ("LB", 28), ("LC", 32), ("LI", 21), ("LT", 20), ("LU", 20), ("LV", 21), ("LY", 25), ("MA", 28),
    ("MC", 27), ("MD", 24), ("ME", 22), ("MG", 27), ("MK", 19), ("MN", 20), ("MR", 27), ("MT", 31), ("MU", 30),
    ("MZ", 25), ("NI", 28), ("NL", 18), ("NO", 15), ("OM", 23), ("PK", 24), ("PL", 28), ("PS", 29), ("PT", 25),
    ("QA", 29), ("RO", 24), ("RS", 22), ("RU", 33), ("SA", 24), ("SC", 31), ("SD", 18), ("SE", 24), ("SI", 19),
    ("SK", 24), ("SM", 27), ("SN", 28), ("SO", 23), ("ST", 25), ("SV", 28), ("TL", 23), ("TN", 24), ("TR", 26),
    ("UA", 29), ("VG", 24),
];

/// Finds numbers that are right for their country, in groups or not, also over a line's end.
pub(crate) fn find(chars: &[char], mut found: impl FnMut(usize, usize)) {
    for start in 0..chars.len() {
        if chars[start].is_ascii_alphabetic()
            && begins_here(chars, start)
            && let Some(end) = end(chars, start)
        {
            found(start, end);
        }
    }
}

/// Nothing is glued to it but perhaps its name.
fn begins_here(chars: &[char], start: usize) -> bool {
    if start == 0 || !chars[start - 1].is_ascii_alphanumeric() {
        return true;
    }
    let before: String = chars[start.saturating_sub(4)..start].iter().collect();
    before.eq_ignore_ascii_case("iban")
}

/// Up to where the number goes that begins here, if one does.
fn end(chars: &[char], start: usize) -> Option<usize> {
    let country: String = characters(chars, start, 2)?.iter().map(|(_, character)| *character).collect();
    let length = LENGTHS.iter().find(|(name, _)| *name == country)?.1;
    let number = characters(chars, start, length)?;
    let end = number.last()?.0 + 1;
    let text: String = number.iter().map(|(_, character)| *character).collect();
    let ends_here = !chars.get(end).is_some_and(char::is_ascii_alphanumeric);
    (ends_here && is_number(&number) && remainder(&text) == Some(1)).then_some(end)
}

/// So many letters and digits, and where they stand. Between them there may be spaces, a dash or a dot, and at one place a
/// line's end.
fn characters(chars: &[char], start: usize, count: usize) -> Option<Vec<(usize, char)>> {
    let mut characters = vec![(start, chars[start].to_ascii_uppercase())];
    let mut ends = 0;
    while characters.len() < count {
        let mut at = characters.last()?.0 + 1;
        let gap = chars[at..].iter().take(4).take_while(|character| " -.\n".contains(**character)).count();
        ends += chars[at..at + gap].iter().filter(|character| **character == '\n').count();
        at += gap;
        let next = chars.get(at).filter(|next| next.is_ascii_alphanumeric() && gap < 4 && ends <= 1)?;
        characters.push((at, next.to_ascii_uppercase()));
    }
    Some(characters)
}

/// Whether it looks like a number and not like words that come to the right sum by chance: most of it is digits, or it is
/// written without spaces.
fn is_number(number: &[(usize, char)]) -> bool {
    let is_digit = |&(_, character): &(usize, char)| character.is_ascii_digit();
    let together = number.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1);
    let digits = number[4..].iter().filter(|character| is_digit(character)).count();
    number[2..4].iter().all(is_digit) && (together || digits * 2 >= number.len() - 4)
}

/// What is left of it by ISO 7064, MOD 97-10, with letters counted from 10.
fn remainder(text: &str) -> Option<u32> {
    let (begin, rest) = text.split_at_checked(4)?;
    rest.chars().chain(begin.chars()).try_fold(0, |sum, character| {
        let value = character.to_digit(36)?;
        Some((sum * if value < 10 { 10 } else { 100 } + value) % 97)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_character_or_length_is_found_out() {
        assert_eq!(remainder("GB29NWBK60161331926819"), Some(1));
        for wrong in ["GB28NWBK60161331926819", "GB29NWBK60161331926818", "GB29NWBL60161331926819"] {
            assert_ne!(remainder(wrong), Some(1), "{wrong}");
        }
        for text in ["DE8937040044053201300", "XX89370400440532013000", "xDE89370400440532013000"] {
            let chars: Vec<char> = text.chars().collect();
            find(&chars, |_, _| panic!("{text} is none"));
        }
    }
}
