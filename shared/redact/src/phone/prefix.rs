//! The prefix of a phone number.

use crate::digits::DigitGroup;

/// The characters right before a number that belong to it: a plus sign and an opening bracket.
#[derive(Debug)]
pub(crate) struct PhonePrefix {
    pub(crate) start: usize,
    pub(crate) has_plus: bool,
    pub(crate) has_bracket: bool,
}

impl PhonePrefix {
    /// Parses `+49`, `(+49`, `+(49` and `+ 49` backwards from the first group.
    pub(crate) fn parse(chars: &[char], group: DigitGroup) -> Self {
        let mut prefix = Self { start: group.start, has_plus: false, has_bracket: false };
        for _ in 0..3 {
            let Some(before) = prefix.start.checked_sub(1) else { break };
            match chars[before] {
                '+' if !prefix.has_plus => prefix.has_plus = true,
                '(' if !prefix.has_bracket => prefix.has_bracket = true,
                ' ' if before > 0 && chars[before - 1] == '+' && !prefix.has_plus => {}
                _ => break,
            }
            prefix.start = before;
        }
        prefix
    }
}
