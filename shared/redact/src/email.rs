//! Email addresses, including what OCR makes of them: spaces around the `@` and the dots, a missing dot, a line break.

use crate::{
    unicode::is_cjk,
    view::{CELL, STACK},
};

/// The most characters of the local part, and of the domain (RFC 5321: 64 and 255 octets; a margin for OCR errors).
const MAX_PART_CHARS: usize = 256;
/// Frequent top-level domains. After a space or a line break, only one of these still belongs to an address.
#[rustfmt::skip]
const TOP_LEVEL_DOMAINS: [&str; 40] = [
    "com", "net", "org", "edu", "gov", "info", "biz", "cn", "hk", "tw", "jp", "kr", "sg", "in", "au", "uk", "de", "fr",
    "it", "es", "nl", "be", "ch", "at", "se", "no", "fi", "dk", "pl", "pt", "ru", "br", "mx", "ca", "us", "eu", "io",
    "co", "ai", "dev",
];

/// Finds the address around each `@`.
pub(crate) fn find(chars: &[char], mut found: impl FnMut(usize, usize)) {
    for at in (0..chars.len()).filter(|&index| chars[index] == '@') {
        if let Some(start) = find_start(chars, at)
            && let Some(end) = find_end(chars, start, at)
        {
            found(start, end);
        }
    }
}

fn is_space(character: char) -> bool {
    [' ', '\n', CELL, STACK].contains(&character)
}

/// Counts the spaces from `start` on: 0 to 2.
fn spaces_after(chars: &[char], start: usize) -> usize {
    chars[start..].iter().take(2).take_while(|character| is_space(**character)).count()
}

/// Counts the spaces before `end`: 0 to 2.
fn spaces_before(chars: &[char], end: usize) -> usize {
    chars[..end].iter().rev().take(2).take_while(|character| is_space(**character)).count()
}

/// The characters of a local part that occur without quotes (RFC 5322 `atext`, and the dot).
fn is_local_character(character: char) -> bool {
    "._%+-'&~#!$".contains(character) || is_label_character(character)
}

fn is_label_character(character: char) -> bool {
    character == '-' || character == '_' || (character.is_alphanumeric() && !is_cjk(character))
}

/// Returns the start of the local part, or `None` if it is empty.
fn find_start(chars: &[char], at: usize) -> Option<usize> {
    let end = at - spaces_before(chars, at);
    // Chinese characters right before the `@` are part of the address; before a Latin name they are a word of the text.
    let allows_cjk = end > 0 && is_cjk(chars[end - 1]);
    let is_local = |character: char| is_local_character(character) || (allows_cjk && is_cjk(character));
    let floor = end.saturating_sub(MAX_PART_CHARS);
    let mut start = end;
    loop {
        while start > floor && is_local(chars[start - 1]) {
            start -= 1;
        }
        let spaces = spaces_before(chars, start);
        let before = match start.checked_sub(spaces + 1) {
            Some(index) if index >= floor => Some(chars[index]),
            _ => None,
        };
        // The local part continues across a space only if there is a dot beside the space.
        let is_beside_dot = start < end && (chars[start] == '.' || before == Some('.'));
        if spaces == 0 || !is_beside_dot || !before.is_some_and(is_local) {
            break;
        }
        start -= spaces;
    }
    while start < end && !chars[start].is_alphanumeric() {
        start += 1;
    }
    (start < end).then_some(start)
}

/// The labels of a domain that have been parsed so far, as ranges of positions.
struct EmailDomain {
    labels: Vec<(usize, usize)>,
}

impl EmailDomain {
    fn last_label<'a>(&self, chars: &'a [char]) -> &'a [char] {
        self.labels.last().map_or(&[], |(start, end)| &chars[*start..*end])
    }

    /// Returns whether it is complete: at least two labels of which the last is a name, or an IPv4 address.
    fn is_complete(&self, chars: &[char]) -> bool {
        let last = self.last_label(chars);
        let is_numeric = self.labels.iter().all(|(start, end)| chars[*start..*end].iter().all(char::is_ascii_digit));
        let ends_with_name = last.len() >= 2 && last[0].is_alphabetic();
        (self.labels.len() >= 2 && ends_with_name) || (self.labels.len() == 4 && is_numeric)
    }
}

/// Returns the end of the domain, or `None` if what follows the `@` is not a domain.
fn find_end(chars: &[char], start: usize, at: usize) -> Option<usize> {
    let spaces = spaces_after(chars, at + 1);
    let first = at + 1 + spaces;
    let mut domain = EmailDomain { labels: vec![(first, parse_label(chars, first)?)] };
    while let Some(next) = next_label(chars, &domain) {
        if next.1 - first >= MAX_PART_CHARS {
            break;
        }
        // A label that continues on the next line replaces its first half.
        domain.labels.pop_if(|last| last.0 == next.0);
        domain.labels.push(next);
    }
    while domain.labels.len() > 1 && !domain.is_complete(chars) {
        domain.labels.pop();
    }
    let end = domain.labels.last()?.1;
    if domain.is_complete(chars) {
        return Some(end);
    }
    // No dot: either it is a local host name, or OCR has lost the dot.
    let is_unspaced = spaces == 0 && !is_space(chars[at - 1]);
    let label = &chars[first..end];
    let is_host_name = label.len() >= 2 && label[0].is_ascii_alphabetic();
    let has_ascii_name = chars[start..at].iter().any(char::is_ascii_alphanumeric);
    (is_unspaced && is_host_name && has_ascii_name).then(|| find_lost_dot(chars, end).unwrap_or(end))
}

/// Returns the end of the label that begins at `start`, or `None` if none begins there.
fn parse_label(chars: &[char], start: usize) -> Option<usize> {
    let first = *chars.get(start)?;
    let is_same_script = |character: &&char| {
        if is_cjk(first) { is_cjk(**character) } else { is_label_character(**character) }
    };
    let length = chars[start..].iter().take(MAX_PART_CHARS).take_while(is_same_script).count();
    (length > 0 && first.is_alphanumeric()).then_some(start + length)
}

pub(crate) fn is_top_level_domain(label: &[char]) -> bool {
    let name: String = label.iter().collect::<String>().to_lowercase();
    TOP_LEVEL_DOMAINS.contains(&name.as_str())
}

/// Returns the label after the next dot; or, if a line break follows the last label, that label with its continuation.
fn next_label(chars: &[char], domain: &EmailDomain) -> Option<(usize, usize)> {
    let &(last_start, last_end) = domain.labels.last()?;
    let dot = last_end + spaces_after(chars, last_end);
    if chars.get(dot) != Some(&'.') {
        return continued_label(chars, domain);
    }
    let start = dot + 1 + spaces_after(chars, dot + 1);
    let end = parse_label(chars, start)?;
    let is_unspaced = start == last_end + 1;
    let is_second = domain.labels.len() == 1;
    let belongs = if is_cjk(chars[start]) {
        is_unspaced && (is_second || is_cjk(chars[last_start]))
    } else {
        // After a space, a capital letter begins the next sentence.
        is_unspaced || (is_second && !chars[start].is_uppercase()) || is_top_level_domain(&chars[start..end])
    };
    belongs.then_some((start, end))
}

/// Returns the last label joined with the word on the next line, if the two are a top-level domain or a dot follows.
fn continued_label(chars: &[char], domain: &EmailDomain) -> Option<(usize, usize)> {
    let &(start, end) = domain.labels.last()?;
    if chars.get(end) != Some(&'\n') {
        return None;
    }
    let continued_end = parse_label(chars, end + 1)?;
    let joined = [&chars[start..end], &chars[end + 1..continued_end]].concat();
    if is_top_level_domain(&joined) {
        return Some((start, continued_end));
    }
    let dot = skip_space(chars, continued_end);
    let is_followed_by_label = chars.get(dot) == Some(&'.') && parse_label(chars, skip_space(chars, dot + 1)).is_some();
    (is_followed_by_label && !is_top_level_domain(&chars[start..end])).then_some((start, continued_end))
}

fn skip_space(chars: &[char], from: usize) -> usize {
    from + usize::from(chars.get(from) == Some(&' '))
}

/// Returns the end of a top-level domain whose dot OCR has read as a space or a comma.
fn find_lost_dot(chars: &[char], end: usize) -> Option<usize> {
    if ![' ', ','].contains(chars.get(end)?) {
        return None;
    }
    let label_end = parse_label(chars, end + 1)?;
    is_top_level_domain(&chars[end + 1..label_end]).then_some(label_end)
}
