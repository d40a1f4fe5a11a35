//! Numbers that are written in groups of digits.

use crate::view::{CELL, STACK};

/// The longest separator between two groups of one number: `) - `, or a dash, a line break and a space.
const LONGEST_GAP: usize = 4;

/// Adjacent digits: the positions from `start` (inclusive) to `end` (exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DigitGroup {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl DigitGroup {
    pub(crate) const fn len(self) -> usize {
        self.end - self.start
    }
}

/// Adjacent groups that may be one number or several.
pub(crate) type DigitRun = Vec<DigitGroup>;

/// Returns all digits of the text, grouped into runs.
pub(crate) fn find_runs(chars: &[char]) -> Vec<DigitRun> {
    let mut runs: Vec<DigitRun> = Vec::new();
    let mut from = 0;
    while let Some(start) = (from..chars.len()).find(|&index| chars[index].is_ascii_digit()) {
        let end = (start..chars.len()).find(|&index| !chars[index].is_ascii_digit()).unwrap_or(chars.len());
        let group = DigitGroup { start, end };
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| is_gap(&chars[last.end..start])) => run.push(group),
            _ => runs.push(vec![group]),
        }
        from = end;
    }
    runs
}

fn is_gap(gap: &[char]) -> bool {
    let is_plain = gap.len() <= LONGEST_GAP && gap.iter().all(|character| " -./()\n".contains(*character));
    is_plain || matches!(gap, [CELL | STACK])
}

/// Returns the characters between two groups.
pub(crate) fn gap(chars: &[char], before: DigitGroup, after: DigitGroup) -> &[char] {
    &chars[before.end..after.start]
}

/// Returns the digits of these groups, joined.
pub(crate) fn all_digits(chars: &[char], groups: &[DigitGroup]) -> String {
    groups.iter().flat_map(|group| &chars[group.start..group.end]).collect()
}

/// Returns whether the separators are those of a number that is written without brackets: up to two spaces, one dash or
/// dot, and at most one line break in the whole number.
pub(crate) fn has_plain_separators(chars: &[char], groups: &[DigitGroup]) -> bool {
    let mut all_line_breaks = 0;
    for pair in groups.windows(2) {
        let (mut spaces, mut marks, mut line_breaks) = (0, 0, 0);
        for character in gap(chars, pair[0], pair[1]) {
            match character {
                ' ' => spaces += 1,
                '-' | '.' => marks += 1,
                '\n' => line_breaks += 1,
                _ => return false,
            }
        }
        all_line_breaks += line_breaks;
        if spaces > 2 || marks > 1 || all_line_breaks > 1 {
            return false;
        }
    }
    true
}

/// Returns whether three of the groups are written like a date: `2024-01-31` or `31.01.2024`.
pub(crate) fn contain_date(chars: &[char], groups: &[DigitGroup]) -> bool {
    groups.windows(3).any(|part| {
        let mark = gap(chars, part[0], part[1]);
        let is_marked = matches!(mark, ['-' | '.']) && gap(chars, part[1], part[2]) == mark;
        let lengths = (part[0].len(), part[1].len(), part[2].len());
        is_marked && matches!(lengths, (4, 1..=2, 1..=2) | (1..=2, 1..=2, 4))
    })
}

/// Returns whether the groups are in cells beside each other, or above each other, and not in both ways.
pub(crate) fn are_spread(chars: &[char], groups: &[DigitGroup]) -> bool {
    let (mut cells, mut stacks, mut others) = (0, 0, 0);
    for pair in groups.windows(2) {
        match gap(chars, pair[0], pair[1]) {
            [CELL] => cells += 1,
            [STACK] => stacks += 1,
            [' ' | '-'] => {}
            _ => others += 1,
        }
    }
    others == 0 && (cells > 0) != (stacks > 0)
}

/// Returns whether a group of the same length precedes or follows these groups in the same row or column: then they are
/// a part of a series.
pub(crate) fn is_in_series(chars: &[char], run: &[DigitGroup], groups: &[DigitGroup]) -> bool {
    let (first, last) = (groups[0], groups[groups.len() - 1]);
    let is_beside = |before: DigitGroup, after: DigitGroup| matches!(gap(chars, before, after), [CELL | STACK]);
    let before = run.iter().rev().find(|group| group.end <= first.start);
    let after = run.iter().find(|group| group.start >= last.end);
    before.is_some_and(|before| before.len() == first.len() && is_beside(*before, first))
        || after.is_some_and(|after| after.len() == last.len() && is_beside(last, *after))
}

/// Returns all sequences of adjacent groups that have between `min_digits` and `max_digits` digits.
pub(crate) fn sequences(
    run: &[DigitGroup],
    min_digits: usize,
    max_digits: usize,
) -> impl Iterator<Item = &[DigitGroup]> {
    (0..run.len()).flat_map(move |first| {
        let mut digits = 0;
        let ends = (first..run.len()).map(move |last| {
            digits += run[last].len();
            (last, digits)
        });
        ends.take_while(move |(_, digits)| *digits <= max_digits)
            .filter(move |(_, digits)| *digits >= min_digits)
            .map(move |(last, _)| &run[first..=last])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs_of(text: &str) -> Vec<Vec<String>> {
        let chars: Vec<char> = text.chars().collect();
        let digits_of = |run: &DigitRun| run.iter().map(|group| all_digits(&chars, &[*group])).collect();
        find_runs(&chars).iter().map(digits_of).collect()
    }

    #[test]
    fn adjacent_groups_are_one_run_until_another_character_follows() {
        assert_eq!(runs_of("a 12 34-5\n6, 7"), [vec!["12", "34", "5", "6"], vec!["7"]]);
        assert!(runs_of("none").is_empty());
    }

    #[test]
    fn a_number_spans_at_most_two_lines() {
        let chars: Vec<char> = "12\n34\n56".chars().collect();
        let run = &find_runs(&chars)[0];
        assert!(has_plain_separators(&chars, &run[..2]) && !has_plain_separators(&chars, run));
    }

    #[test]
    fn sequences_have_a_number_of_digits_within_the_limits() {
        let chars: Vec<char> = "1 22 333".chars().collect();
        let run = &find_runs(&chars)[0];
        let found: Vec<String> = sequences(run, 3, 5).map(|groups| all_digits(&chars, groups)).collect();
        assert_eq!(found, ["122", "22333", "333"]);
    }
}
