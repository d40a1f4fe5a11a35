//! E-mail addresses, also as scans have them: with spaces around the `@` and the dots, without a dot, broken over two lines.

use crate::searched::is_cjk;

/// The longest of what stands before the `@`, and of what stands behind.
const LONGEST: usize = 256;
/// Names under which most addresses lie: behind a space, or a line's end, only these still belong to one.
#[rustfmt::skip]
const TOP: [&str; 40] = [
    "com", "net", "org", "edu", "gov", "info", "biz", "cn", "hk", "tw", "jp", "kr", "sg", "in", "au", "uk", "de", "fr",
    "it", "es", "nl", "be", "ch", "at", "se", "no", "fi", "dk", "pl", "pt", "ru", "br", "mx", "ca", "us", "eu", "io",
    "co", "ai", "dev",
];

/// Finds the address around each `@`.
pub(crate) fn find(chars: &[char], mut found: impl FnMut(usize, usize)) {
    for at in (0..chars.len()).filter(|&index| chars[index] == '@') {
        if let Some(start) = begin(chars, at)
            && let Some(end) = end(chars, start, at)
        {
            found(start, end);
        }
    }
}

fn is_space(character: char) -> bool {
    character == ' ' || character == '\n'
}

fn is_local(character: char) -> bool {
    "._%+-'&~#!$".contains(character) || is_label(character)
}

fn is_label(character: char) -> bool {
    character == '-' || character == '_' || (character.is_alphanumeric() && !is_cjk(character))
}

/// Where what stands before the `@` begins; nowhere where there is nothing.
fn begin(chars: &[char], at: usize) -> Option<usize> {
    let back = |from: usize| chars[..from].iter().rev().take(2).take_while(|character| is_space(**character)).count();
    let end = at - back(at);
    let glued = end > 0 && is_cjk(chars[end - 1]);
    let belongs = |character: char| is_local(character) || (glued && is_cjk(character));
    let floor = end.saturating_sub(LONGEST);
    let mut start = end;
    loop {
        while start > floor && belongs(chars[start - 1]) {
            start -= 1;
        }
        let spaces = back(start);
        let before = start.checked_sub(spaces + 1).filter(|before| *before >= floor).map(|before| chars[before]);
        // A space beside a dot: more of it comes before.
        let dotted = start < end && (chars[start] == '.' || before == Some('.'));
        if spaces == 0 || !dotted || !before.is_some_and(belongs) {
            break;
        }
        start -= spaces;
    }
    while start < end && !chars[start].is_alphanumeric() {
        start += 1;
    }
    (start < end).then_some(start)
}

/// What stands behind the `@`, as far as it has been followed.
struct Domain {
    labels: Vec<(usize, usize)>,
}

impl Domain {
    fn last<'a>(&self, chars: &'a [char]) -> &'a [char] {
        self.labels.last().map_or(&[], |(start, end)| &chars[*start..*end])
    }

    /// Whether it is one: it ends like a name, or is four numbers.
    fn is_whole(&self, chars: &[char]) -> bool {
        let last = self.last(chars);
        let numbers = self.labels.iter().all(|(start, end)| chars[*start..*end].iter().all(char::is_ascii_digit));
        let name = last.len() >= 2 && last[0].is_alphabetic();
        (self.labels.len() >= 2 && name) || (self.labels.len() == 4 && numbers)
    }
}

fn end(chars: &[char], start: usize, at: usize) -> Option<usize> {
    let spaces = chars[at + 1..].iter().take(2).take_while(|character| is_space(**character)).count();
    let first = at + 1 + spaces;
    let mut domain = Domain { labels: vec![(first, label(chars, first)?)] };
    while let Some(next) = next_label(chars, &domain).filter(|next| next.1 - first < LONGEST) {
        domain.labels.pop_if(|last| last.0 == next.0);
        domain.labels.push(next);
    }
    while domain.labels.len() > 1 && !domain.is_whole(chars) {
        domain.labels.pop();
    }
    let end = domain.labels.last()?.1;
    if domain.is_whole(chars) {
        return Some(end);
    }
    // Without a dot: either there is none, or the scan has lost it.
    let glued = spaces == 0 && !is_space(chars[at - 1]);
    let label = &chars[first..end];
    let plain =
        label.len() >= 2 && label[0].is_ascii_alphabetic() && chars[start..at].iter().any(char::is_ascii_alphanumeric);
    (glued && plain).then(|| lost_dot(chars, end).unwrap_or(end))
}

/// Up to where the name goes that begins here, if one does.
fn label(chars: &[char], start: usize) -> Option<usize> {
    let first = *chars.get(start)?;
    let belongs = |character: &&char| if is_cjk(first) { is_cjk(**character) } else { is_label(**character) };
    let long = chars[start..].iter().take(LONGEST).take_while(belongs).count();
    (long > 0 && first.is_alphanumeric()).then_some(start + long)
}

fn is_top(chars: &[char], start: usize, end: usize) -> bool {
    let name: String = chars[start..end].iter().collect::<String>().to_lowercase();
    TOP.contains(&name.as_str())
}

/// The next name, behind a dot; or, where the line ends in the midst of one, all of it.
fn next_label(chars: &[char], domain: &Domain) -> Option<(usize, usize)> {
    let &(begin, end) = domain.labels.last()?;
    let spaces = |from: usize| chars[from..].iter().take(2).take_while(|character| is_space(**character)).count();
    let dot = end + spaces(end);
    if chars.get(dot) != Some(&'.') {
        return broken(chars, domain);
    }
    let start = dot + 1 + spaces(dot + 1);
    let next = (start, label(chars, start)?);
    let tight = start == end + 1;
    let is_first = domain.labels.len() == 1;
    let fits = if is_cjk(chars[start]) {
        tight && (is_first || is_cjk(chars[begin]))
    } else {
        // A sentence that ends with a name goes on with a capital.
        tight || (is_first && !chars[start].is_uppercase()) || is_top(chars, next.0, next.1)
    };
    fits.then_some(next)
}

/// The last name with what the next line has of it: the rest of a common ending, or of a name that another one follows.
fn broken(chars: &[char], domain: &Domain) -> Option<(usize, usize)> {
    let &(begin, end) = domain.labels.last()?;
    let rest = label(chars, end + 1).filter(|_| chars[end] == '\n')?;
    let halves = [&chars[begin..end], &chars[end + 1..rest]].concat();
    if is_top(&halves, 0, halves.len()) {
        return Some((begin, rest));
    }
    let space = |from: usize| from + usize::from(chars.get(from) == Some(&' '));
    let dot = space(rest);
    let follows = chars.get(dot) == Some(&'.') && label(chars, space(dot + 1)).is_some();
    (follows && !is_top(chars, begin, end)).then_some((begin, rest))
}

/// Up to where `com` goes where the dot before it was read as a space or a comma.
fn lost_dot(chars: &[char], end: usize) -> Option<usize> {
    let start = end + 1;
    let between = chars.get(end).is_some_and(|character| [' ', ','].contains(character));
    let label = label(chars, start).filter(|_| between)?;
    is_top(chars, start, label).then_some(label)
}
