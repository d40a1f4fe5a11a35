//! Characters that look alike, by the tables of Unicode.

use std::iter;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory},
};

/// How far similar characters are unified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unify {
    /// Compatible characters and decimal digits.
    Compatible,
    /// As [`Self::Compatible`], and superscript, circled and similar digits; without combining marks.
    All,
}

/// Calls `push` with the characters that most likely are meant by a character in an address or a number; not at all if
/// it is invisible.
pub(crate) fn normalize(character: char, unify: Unify, mut push: impl FnMut(char)) {
    if character == '\n' || character.is_ascii_graphic() || character == ' ' {
        return push(character);
    }
    if character.is_whitespace() || character == '\u{2800}' {
        // A carriage return is a part of a line break.
        if character != '\r' {
            push(' ');
        }
        return;
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    match (character, category) {
        _ if is_invisible(character, category) => {}
        (_, GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark) if unify == Unify::All => {}
        (_, GeneralCategory::DecimalNumber) => push(digit(character)),
        (_, GeneralCategory::DashPunctuation) | ('\u{2212}' | '\u{30FC}' | '\u{2043}', _) => push('-'),
        ('。' | '｡' | '·' | '・' | '․' | '•' | '∙' | '‧', _) => push('.'),
        // A footnote's mark is not a digit of the number before it.
        (_, GeneralCategory::OtherNumber) if unify == Unify::Compatible => push(character),
        _ => compatible(character).for_each(|character| push(if character.is_whitespace() { ' ' } else { character })),
    }
}

fn is_invisible(character: char, category: GeneralCategory) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
        || matches!(category, GeneralCategory::Format | GeneralCategory::Control)
}

/// The compatibility decomposition, composed again (NFKC).
fn compatible(character: char) -> impl Iterator<Item = char> {
    ComposingNormalizerBorrowed::new_nfkc().normalize_iter(iter::once(character))
}

/// Returns the ASCII digit with the value of a decimal digit. Unicode encodes the ten digits of a script in order, and
/// several alphabets of ten digits may follow each other (Unicode Standard, section 4.6).
fn digit(character: char) -> char {
    let is_digit = |code: u32| {
        char::from_u32(code).is_some_and(|character| {
            CodePointMapData::<GeneralCategory>::new().get(character) == GeneralCategory::DecimalNumber
        })
    };
    let code = u32::from(character);
    let before = (1..=code).take_while(|back| is_digit(code - back)).count();
    char::from(b'0' + (before % 10) as u8)
}

/// Returns whether the character is of a script without spaces between words, where a word may precede an address
/// directly.
pub(crate) fn is_cjk(character: char) -> bool {
    matches!(character,
        '\u{2E80}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{323AF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalized(text: &str, unify: Unify) -> String {
        let mut all = String::new();
        text.chars().for_each(|character| normalize(character, unify, |character| all.push(character)));
        all
    }

    #[test]
    fn the_digits_of_every_script_have_their_value() {
        // Arabic-Indic, Devanagari, Thai, Bengali, Khmer, Tibetan, full-width, bold, double-struck, segmented, N'Ko.
        for zero in "٠०๐০០༠０𝟎𝟘🯰߀".chars() {
            for value in 0..10 {
                let character = char::from_u32(u32::from(zero) + value).expect("a digit");
                assert_eq!(normalized(&character.to_string(), Unify::Compatible), value.to_string(), "{character}");
            }
        }
    }

    #[test]
    fn invisible_characters_are_left_out() {
        let hidden = "1\u{200B}2\u{2060}3\u{AD}4\u{FE0F}5\u{180E}6\u{E0020}7\u{202E}8\u{FEFF}9\u{3164}0\u{61C}";
        assert_eq!(normalized(hidden, Unify::Compatible), "1234567890");
    }

    #[test]
    fn similar_characters_are_unified() {
        assert_eq!(normalized("ａ＠ｂ．ｃ　１３８—０−1‐2·3\u{A0}4℡", Unify::Compatible), "a@b.c 138-0-1-2.3 4TEL");
        assert_eq!(normalized("5² ① 4\u{20E3}4\u{336}", Unify::Compatible), "5² ① 4\u{20E3}4\u{336}");
        assert_eq!(normalized("5² ① 4\u{20E3}4\u{336}", Unify::All), "52 1 44");
    }
}
