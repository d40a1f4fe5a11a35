//! Extracts a translation, which may be preceded by the source text.

use std::ops::Range;

use super::parsed::{ModelAnswer, ParsedAnswer};

/// "The text in the picture is". The model's own prompts ask for the source text first.
const SOURCE: &str = "图中的文字是";
/// "Translated into Chinese:", and the same for other languages.
const TRANSLATION: (&str, &str) = ("翻译成", "为");

/// Returns the translation without its source text. An answer that was cut off before the translation is malformed.
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
    // A sentence on the page may start and end with the same characters.
    language.is_some_and(|language| language.chars().count() <= 8)
}
