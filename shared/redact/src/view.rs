//! The views in which matches are searched: the texts of a page in several orders, normalized. A number that is split
//! in one view is whole in another.

use crate::unicode::{Unify, normalize};

/// Between two cells of a table, or two boxes of a form, in a row.
pub(crate) const CELL: char = '\u{1F}';
/// Between two groups above each other.
pub(crate) const STACK: char = '\u{1E}';
/// A line break that becomes [`STACK`] between two groups, and a line break otherwise.
pub(crate) const SOFT_BREAK: char = '\u{B}';
/// Between two rows of a table.
pub(crate) const ROW: char = '\u{1C}';
/// What no match contains: the end of a part, and the placeholder of an earlier redaction.
pub(crate) const BARRIER: char = '\0';

/// A part of one text: positions from `start` (inclusive) to `end` (exclusive) in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The index of the text.
    pub(crate) text: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A match, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) place: Place,
    /// The kind or the custom pattern that was found.
    pub(crate) kind: String,
}

/// One character of a view.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ViewChar {
    pub(crate) character: char,
    /// Where it comes from; `None` for a separator or a label that is in no text.
    pub(crate) place: Option<Place>,
    /// Whether markup precedes it, which stays where it is.
    pub(crate) after_markup: bool,
}

/// Normalized texts in one order.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) chars: Vec<ViewChar>,
}

impl View {
    /// Returns only the characters.
    pub(crate) fn characters(&self) -> Vec<char> {
        self.chars.iter().map(|one| one.character).collect()
    }

    /// Adds a character that is in no text. Spaces beside a separator are removed, and of several separators the
    /// strongest remains.
    pub(crate) fn push_separator(&mut self, separator: char) {
        let is_weaker = |character: char| character == ' ' || (separator != CELL && character == CELL);
        while self.chars.pop_if(|last| is_weaker(last.character)).is_some() {}
        let is_repeated = self.chars.last().is_none_or(|last| is_separator(last.character));
        if !is_repeated {
            self.chars.push(ViewChar { character: separator, place: None, after_markup: false });
        }
    }

    /// Adds a label that is in no text.
    pub(crate) fn push_label(&mut self, label: &str) {
        for character in label.chars() {
            normalize(character, Unify::Compatible, |character| {
                self.chars.push(ViewChar { character, place: None, after_markup: false });
            });
        }
    }

    /// Adds a normalized character. Several spaces become one if `collapse`.
    pub(crate) fn push(&mut self, one: ViewChar, collapse: bool) {
        if collapse && one.character == ' ' {
            match self.chars.last_mut() {
                None => return,
                Some(last) if is_separator(last.character) => return,
                Some(last) if last.character == ' ' => {
                    if let (Some(last), Some(place)) = (&mut last.place, one.place)
                        && last.text == place.text
                    {
                        last.end = place.end;
                    }
                    return;
                }
                Some(_) => {}
            }
        }
        self.chars.push(one);
    }

    /// Returns the parts of the texts that a match covers. Markup, separators and ends of texts divide it, and parts
    /// without letters and digits are left out.
    pub(crate) fn places(&self, start: usize, end: usize) -> Vec<Place> {
        self.parts(start, end, |character| character.is_alphanumeric() || character == '@')
    }

    /// As [`Self::places`], with all parts.
    pub(crate) fn all_places(&self, start: usize, end: usize) -> Vec<Place> {
        self.parts(start, end, |_| true)
    }

    fn parts(&self, start: usize, end: usize, is_content: impl Fn(char) -> bool) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        let mut has_content = false;
        let mut is_open = false;
        for one in &self.chars[start..end] {
            let Some(place) = one.place else {
                is_open = false;
                continue;
            };
            let continues = is_open
                && !one.after_markup
                && places.last().is_some_and(|last| last.text == place.text && last.end <= place.end);
            if continues && let Some(last) = places.last_mut() {
                last.end = place.end;
            } else {
                // A part of separators only reveals nothing.
                if !has_content {
                    places.pop();
                }
                places.push(place);
                has_content = false;
                is_open = true;
            }
            has_content |= is_content(one.character);
        }
        if !has_content {
            places.pop();
        }
        places
    }

    /// Returns this view with each soft line break as a line break, or between two short groups, if `stacked`, as
    /// [`STACK`]. The end of a row of several cells becomes a [`BARRIER`], for a number does not continue in the next
    /// row.
    pub(crate) fn with_breaks(&self, stacked: bool) -> Self {
        let mut view = self.clone();
        for index in 0..view.chars.len() {
            let character = self.chars[index].character;
            if character != SOFT_BREAK && character != ROW {
                continue;
            }
            let before = || self.chars[..index].iter().rev().map(|one| one.character);
            let after = || self.chars[index + 1..].iter().map(|one| one.character);
            let is_row = character == ROW && (ends_in_cell(before()) || ends_in_cell(after()));
            let is_stack = stacked && is_group(before()) && is_group(after());
            view.chars[index].character = match (is_row, is_stack) {
                (true, _) => BARRIER,
                (false, true) => STACK,
                (false, false) => '\n',
            };
        }
        view
    }
}

/// Returns whether the text up to the next separator is one of several cells in a row.
fn ends_in_cell(mut characters: impl Iterator<Item = char>) -> bool {
    characters.find(|character| is_separator(*character)) == Some(CELL)
}

/// The most characters of a group in a stack.
const MAX_GROUP_CHARS: usize = 8;

/// Returns whether the characters up to the next separator are one group of a number.
pub(crate) fn is_group(characters: impl Iterator<Item = char>) -> bool {
    let group: Vec<char> =
        characters.take_while(|character| !is_separator(*character)).take(MAX_GROUP_CHARS + 1).collect();
    (1..=MAX_GROUP_CHARS).contains(&group.len())
        && group
            .iter()
            .all(|character| character.is_ascii_digit() || character.is_ascii_uppercase() || *character == '+')
}

pub(crate) fn is_separator(character: char) -> bool {
    [CELL, STACK, SOFT_BREAK, ROW, '\n', BARRIER].contains(&character)
}

/// Sorts spans and merges those that overlap. A merged span has the kind of its first part, or of the longest of those
/// that begin at the same position.
pub(crate) fn merge_spans(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by(|a, b| {
        let key = |span: &Span| (span.place.text, span.place.start);
        key(a).cmp(&key(b)).then(b.place.end.cmp(&a.place.end))
    });
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if last.place.text == span.place.text && span.place.start < last.place.end => {
                last.place.end = last.place.end.max(span.place.end);
            }
            _ => merged.push(span),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: usize, end: usize, kind: &str) -> Span {
        Span { place: Place { text: 0, start, end }, kind: kind.to_owned() }
    }

    #[test]
    fn overlapping_spans_are_merged_and_keep_the_kind_of_the_first_and_longest() {
        let found = vec![span(5, 9, "c"), span(0, 3, "b"), span(0, 4, "a"), span(3, 5, "d"), span(9, 10, "e")];
        assert_eq!(merge_spans(found), [span(0, 5, "a"), span(5, 9, "c"), span(9, 10, "e")]);
    }
}
