//! Telephone numbers: those that say so by a `+` or a word before them, and those that are written as only telephone numbers
//! are. Any other group of digits is left alone: it is an invoice's number, a date or an amount.

mod labels;
mod shapes;

use crate::digits::{Group, Run, sequences};
use labels::{Label, label_before};
use shapes::{Shape, is_likely_phone, is_surely_phone};

/// A `+` or `00`, and at most 15 digits (ITU-T E.164).
const MOST_DIGITS: usize = 17;
const FEWEST_DIGITS: usize = 7;
/// With as many digits as this a number with `+` is whole: what begins the next line is another one.
const WHOLE: usize = 11;

/// Finds the longest number that begins with each group, over a line's end only where it is not whole without. What could
/// also be something else does not begin within another number.
pub(crate) fn find(chars: &[char], run: &Run, mut found: impl FnMut(usize, usize)) {
    let mut covered = 0;
    for first in 0..run.len() {
        let lead = Lead::of(chars, run[first]);
        let label = label_before(chars, lead.start);
        let fitting: Vec<&[Group]> = sequences(&run[first..], FEWEST_DIGITS, MOST_DIGITS)
            .take_while(|groups| groups[0] == run[first])
            .filter(|groups| {
                let shape = Shape::of(chars, &lead, label, groups);
                let may_be =
                    |shape: &Shape| is_surely_phone(shape) || (lead.start >= covered && is_likely_phone(shape));
                may_be(&shape) || shape.joined().is_some_and(|joined| may_be(&joined))
            })
            .collect();
        let lines = |groups: &[Group]| {
            chars[groups[0].start..groups[groups.len() - 1].end].iter().filter(|character| **character == '\n').count()
        };
        let longest = |most: usize| fitting.iter().rev().find(|groups| lines(groups) <= most);
        let within = longest(0);
        let whole = within.is_some_and(|groups| !lead.plus || count(groups) >= WHOLE);
        let Some(groups) = (if whole { within } else { longest(1).or(within) }) else { continue };
        let end = with_extension(chars, groups[groups.len() - 1].end);
        covered = covered.max(end);
        found(lead.start, end);
    }
}

fn count(groups: &[Group]) -> usize {
    groups.iter().map(|group| group.len()).sum()
}

/// What stands right before a number and belongs to it.
#[derive(Debug)]
struct Lead {
    start: usize,
    plus: bool,
    bracket: bool,
}

impl Lead {
    fn of(chars: &[char], group: Group) -> Self {
        let mut lead = Self { start: group.start, plus: false, bracket: false };
        // `+49`, `(+49`, `+(49`, `+ 49`
        for _ in 0..3 {
            let Some(before) = lead.start.checked_sub(1) else { break };
            match chars[before] {
                '+' if !lead.plus => (lead.plus, lead.start) = (true, before),
                '(' if !lead.bracket => (lead.bracket, lead.start) = (true, before),
                ' ' if before > 0 && chars[before - 1] == '+' && !lead.plus => lead.start = before,
                _ => break,
            }
        }
        lead
    }
}

/// A number with the extension that follows it: `-8001`, `转8001`, `ext. 8001`.
fn with_extension(chars: &[char], end: usize) -> usize {
    let digits = |from: usize| chars[from.min(chars.len())..].iter().take_while(|c| c.is_ascii_digit()).count();
    let skip = |from: usize, what: &str| from + chars[from..].iter().take(2).take_while(|c| what.contains(**c)).count();
    let dash = skip(end, "-");
    if dash == end + 1 && (1..=6).contains(&digits(dash)) {
        return dash + digits(dash);
    }
    let word = skip(end, " ,");
    let rest: String = chars[word..].iter().take(10).collect::<String>().to_lowercase();
    let marks = ["extension", "ext", "x", "转", "轉", "分机", "分機", "内线", "#"];
    let Some(mark) = marks.iter().find(|mark| rest.starts_with(**mark)) else { return end };
    let number = skip(word + mark.chars().count(), " .:");
    if (1..=6).contains(&digits(number)) { number + digits(number) } else { end }
}
