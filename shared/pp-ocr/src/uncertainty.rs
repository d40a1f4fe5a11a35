//! Which lines a fast model must leave to a precise one.

use crate::ctc::LineReading;

/// Minimum probability of every character of a line.
const SURE_CHARACTER: f32 = 0.9;
/// The same, if the line has a digit: no context tells whether it is right.
const SURE_DIGITS: f32 = 0.95;

/// Returns whether a reading of a fast model may have an error.
pub(crate) fn is_uncertain(reading: &LineReading) -> bool {
    let has_digit = reading.text.chars().any(|character| character.is_ascii_digit());
    reading.weakest < if has_digit { SURE_DIGITS } else { SURE_CHARACTER }
}
