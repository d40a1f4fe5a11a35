//! A translation, which may come with the text that it is made of.

use std::ops::Range;

use super::parsed::{ModelAnswer, ParsedAnswer};

/// "The text in the picture is". The releases' own prompts ask for it to be read first.
const SOURCE: &str = "图中的文字是";
/// "Translated into Chinese it is", and so on for English.
const TRANSLATION: (&str, &str) = ("翻译成", "为");

/// The translation without its source. A source alone, because the answer was cut off, is in no form.
pub(super) fn translation(answer: &ModelAnswer, body: Range<usize>) -> ParsedAnswer {
    let text = &answer.text[body.clone()];
    if !text.trim_start().starts_with(SOURCE) {
        return ParsedAnswer::from_lines(answer.lines(body));
    }
    let mut start = body.start;
    for line in text.split_inclusive('\n') {
        start += line.len();
        if is_heading(line.trim()) {
            return ParsedAnswer::from_lines(answer.lines(start..body.end));
        }
    }
    ParsedAnswer { is_well_formed: false, ..ParsedAnswer::from_lines(answer.lines(body)) }
}

fn is_heading(line: &str) -> bool {
    let line = line.trim_end_matches([':', '：']);
    let language = line.strip_prefix(TRANSLATION.0).and_then(|rest| rest.strip_suffix(TRANSLATION.1));
    // A sentence of the page may begin and end like this as well.
    language.is_some_and(|language| language.chars().count() <= 8)
}
