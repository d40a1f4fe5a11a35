//! What was found once is found everywhere on the page: a number that has a label in the text has none in a field.

use crate::view::{Span, View, is_separator};

/// The fewest letters and digits of a match that is searched elsewhere. Shorter ones are found by chance.
const MIN_CHARS: usize = 7;
/// The most different matches that are searched, which bounds the time of a hostile page.
const MAX_VALUES: usize = 200;
/// The most characters between two characters of a match.
const MAX_GAP: usize = 3;

/// The matches of a page, without separators.
#[derive(Debug, Default)]
pub(crate) struct KnownValues {
    values: Vec<(String, String)>,
}

impl KnownValues {
    /// Adds a match of a kind.
    pub(crate) fn add(&mut self, kind: &str, matched: &[char]) {
        let value: String = matched.iter().filter(|character| is_content(**character)).collect();
        let is_number = value.chars().filter(char::is_ascii_digit).count() >= MIN_CHARS - 1;
        let is_specific = value.chars().count() >= MIN_CHARS && (is_number || value.contains('@'));
        let is_new = !self.values.iter().any(|(_, known)| *known == value);
        if is_specific && is_new && self.values.len() < MAX_VALUES {
            self.values.push((kind.to_owned(), value));
        }
    }

    /// Finds all occurrences in a view, also those with other separators, but not inside a longer word or number.
    pub(crate) fn find(&self, view: &View, spans: &mut Vec<Span>) {
        let chars = view.characters();
        let positions: Vec<usize> = (0..chars.len()).filter(|index| is_content(chars[*index])).collect();
        let content: String = positions.iter().map(|index| chars[*index]).collect();
        let is_ascii = content.is_ascii();
        for (kind, value) in &self.values {
            for (byte, found) in content.match_indices(value.as_str()) {
                let first = if is_ascii { byte } else { content[..byte].chars().count() };
                let last = first + found.chars().count() - 1;
                let places = &positions[first..=last];
                let is_one = places.windows(2).all(|pair| pair[1] - pair[0] <= MAX_GAP + 1);
                let (start, end) = (places[0], places[places.len() - 1] + 1);
                let is_free_before = start == 0 || !is_content(chars[start - 1]);
                let is_free_after = chars.get(end).is_none_or(|character| !is_content(*character));
                if is_one && is_free_before && is_free_after {
                    let found = view.places(start, end).into_iter();
                    spans.extend(found.map(|place| Span { place, kind: kind.clone() }));
                }
            }
        }
    }
}

fn is_content(character: char) -> bool {
    !is_separator(character) && (character.is_alphanumeric() || character == '@')
}
