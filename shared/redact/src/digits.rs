//! Numbers that are written in groups.

/// The longest stretch between two groups of one number: `) - `, or a dash, a line's end and a space.
const LONGEST_GAP: usize = 4;

/// Digits side by side: from a character up to another, not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Group {
    pub(crate) const fn len(self) -> usize {
        self.end - self.start
    }
}

/// Groups that may be one number, or several.
pub(crate) type Run = Vec<Group>;

/// All digits of the text, in runs.
pub(crate) fn runs(chars: &[char]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut from = 0;
    while let Some(start) = (from..chars.len()).find(|&index| chars[index].is_ascii_digit()) {
        let end = (start..chars.len()).find(|&index| !chars[index].is_ascii_digit()).unwrap_or(chars.len());
        let group = Group { start, end };
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| is_gap(&chars[last.end..start])) => run.push(group),
            _ => runs.push(vec![group]),
        }
        from = end;
    }
    runs
}

fn is_gap(gap: &[char]) -> bool {
    gap.len() <= LONGEST_GAP && gap.iter().all(|character| " -./()\n".contains(*character))
}

/// What stands between two groups.
pub(crate) fn gap(chars: &[char], before: Group, after: Group) -> &[char] {
    &chars[before.end..after.start]
}

/// All digits of these groups.
pub(crate) fn digits(chars: &[char], groups: &[Group]) -> String {
    groups.iter().flat_map(|group| &chars[group.start..group.end]).collect()
}

/// Whether groups are set apart as those of one number that nobody writes with brackets: by spaces, a dash or a dot, and at
/// one place at most by a line's end.
pub(crate) fn is_plain(chars: &[char], groups: &[Group]) -> bool {
    let mut ends = 0;
    groups.windows(2).all(|pair| {
        let gap = gap(chars, pair[0], pair[1]);
        let count = |wanted| gap.iter().filter(|character| **character == wanted).count();
        ends += count('\n');
        let (spaces, marks) = (count(' '), count('-') + count('.'));
        spaces <= 2 && marks <= 1 && ends <= 1 && spaces + marks + count('\n') == gap.len()
    })
}

/// The sequences of groups that follow each other and have between `least` and `most` digits.
pub(crate) fn sequences(run: &[Group], least: usize, most: usize) -> impl Iterator<Item = &[Group]> {
    (0..run.len()).flat_map(move |first| {
        let mut digits = 0;
        let lasts = (first..run.len()).map(move |last| {
            digits += run[last].len();
            (last, digits)
        });
        let fitting = lasts.take_while(move |(_, digits)| *digits <= most).filter(move |(_, digits)| *digits >= least);
        fitting.map(move |(last, _)| &run[first..=last])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(text: &str) -> Vec<Vec<String>> {
        let chars: Vec<char> = text.chars().collect();
        runs(&chars).iter().map(|run| run.iter().map(|group| digits(&chars, &[*group])).collect()).collect()
    }

    #[test]
    fn numbers_side_by_side_are_one_run_until_something_else_comes() {
        assert_eq!(groups("a 12 34-5\n6, 7"), [vec!["12", "34", "5", "6"], vec!["7"]]);
        assert!(groups("none").is_empty());
    }

    #[test]
    fn a_number_is_broken_over_two_lines_at_most() {
        let chars: Vec<char> = "12\n34\n56".chars().collect();
        let run = &runs(&chars)[0];
        assert!(is_plain(&chars, &run[..2]) && !is_plain(&chars, run));
    }

    #[test]
    fn sequences_have_as_many_digits_as_are_asked_for() {
        let chars: Vec<char> = "1 22 333".chars().collect();
        let run = &runs(&chars)[0];
        let found: Vec<String> = sequences(run, 3, 5).map(|groups| digits(&chars, groups)).collect();
        assert_eq!(found, ["122", "22333", "333"]);
    }
}
