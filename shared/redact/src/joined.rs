//! Views in which characters or groups that are written apart are joined.

use crate::{
    email::is_top_level_domain,
    view::{CELL, Place, STACK, View, ViewChar, is_separator},
};

/// The fewest characters in boxes of their own that are joined. Shorter sequences are dates and words.
const MIN_COMB_CHARS: usize = 7;
/// The most characters between two boxes.
const MAX_GAP: usize = 3;

/// Returns the view with characters in boxes of their own joined, or `None` if there are none: `4 1 1 1` is `4111`.
pub(crate) fn join_combs(view: &View) -> Option<View> {
    let chars = &view.chars;
    let mut joined = View::default();
    let mut has_comb = false;
    let mut at = 0;
    while at < chars.len() {
        let comb = find_comb(chars, at);
        if comb.len() >= MIN_COMB_CHARS {
            has_comb = true;
            let end = comb[comb.len() - 1] + 1;
            joined.chars.extend(comb.into_iter().map(|index| chars[index]));
            at = end;
        } else {
            joined.chars.push(chars[at]);
            at += 1;
        }
    }
    has_comb.then_some(joined)
}

/// Returns the positions of the characters of the comb that begins at `at`: single characters with a gap between them.
fn find_comb(chars: &[ViewChar], at: usize) -> Vec<usize> {
    let character = |index: usize| chars.get(index).map(|one| one.character);
    let is_content = |character: Option<char>| {
        character.is_some_and(|character| character.is_alphanumeric() || "@._-+".contains(character))
    };
    let mut comb = Vec::new();
    let begins_here = at == 0 || is_comb_gap(chars[at - 1].character);
    let mut next = at;
    while begins_here && is_content(character(next)) && !is_content(character(next + 1)) {
        comb.push(next);
        let gap = (next + 1..chars.len()).take(MAX_GAP + 1).take_while(|index| is_comb_gap(chars[*index].character));
        let gap = gap.count();
        if gap == 0 || gap > MAX_GAP {
            break;
        }
        next += gap + 1;
    }
    comb
}

fn is_comb_gap(character: char) -> bool {
    character == ' ' || [CELL, STACK, '\n'].contains(&character)
}

/// Returns the view with `(at)` and `(dot)` as the characters that they mean, or `None` if there are none. The words
/// without brackets count only in what cannot be a sentence.
pub(crate) fn spell_out(view: &View) -> Option<View> {
    let lower: Vec<char> =
        view.chars.iter().map(|one| one.character.to_lowercase().next().unwrap_or(one.character)).collect();
    let mut spelled = View::default();
    let mut has_word = false;
    let mut at = 0;
    while at < view.chars.len() {
        let word = bracketed(&lower, at).or_else(|| bare_at(&lower, at)).or_else(|| bare_dot(&lower, at));
        if let Some((character, length)) = word {
            has_word = true;
            // Spaces around it are part of what is spelled.
            while spelled.chars.pop_if(|last| last.character == ' ').is_some() {}
            let places = view.chars[at..at + length].iter().filter_map(|one| one.place);
            let place =
                places.reduce(|all, one| if one.text == all.text { Place { end: one.end, ..all } } else { all });
            spelled.chars.push(ViewChar { character, place, after_markup: view.chars[at].after_markup });
            at += length;
            at += lower[at..].iter().take_while(|character| **character == ' ').count();
        } else {
            spelled.chars.push(view.chars[at]);
            at += 1;
        }
    }
    has_word.then_some(spelled)
}

/// What is written for `@` and for a dot.
const AT_WORDS: [&str; 7] = ["at", "@", "a", "arroba", "chez", "ät", "собака"];
const DOT_WORDS: [&str; 6] = ["dot", ".", "punkt", "punto", "point", "點"];

/// `(at)`, `[ at ]`, `{at}`, `<at>`, `-at-`, `_at_`, and the same with `dot`.
fn bracketed(lower: &[char], at: usize) -> Option<(char, usize)> {
    let open = lower[at];
    let close = match open {
        '(' => ')',
        '[' => ']',
        '{' => '}',
        '<' => '>',
        '-' | '_' | '*' | '/' => open,
        _ => return None,
    };
    let inner: String = lower[at + 1..].iter().take(12).take_while(|character| **character != close).collect();
    let length = inner.chars().count() + 2;
    if lower.get(at + length - 1) != Some(&close) {
        return None;
    }
    let word = inner.trim();
    // `Newcastle-at-Sea` is a place: without brackets, both words must be there.
    let is_bracket = open != close;
    let has = |around: &[char], word: &str| around.iter().collect::<String>().contains(&format!("{open}{word}{open}"));
    let has_dot = !is_bracket && word == "at" && has(&lower[at..lower.len().min(at + 80)], "dot");
    let has_at = !is_bracket && word == "dot" && has(&lower[at.saturating_sub(80)..at], "at");
    let is_at = (is_bracket && AT_WORDS.contains(&word)) || has_dot;
    let is_dot = (is_bracket && DOT_WORDS.contains(&word)) || has_at;
    // `(a)` numbers a list, unless it stands between two words.
    let is_list = word == "a" && !(at > 0 && lower[at - 1].is_alphanumeric());
    match (is_at && !is_list, is_dot) {
        (true, _) => Some(('@', length)),
        (_, true) => Some(('.', length)),
        _ => None,
    }
}

/// ` at ` between what looks like a mailbox and a domain: `john.smith at example.com`, `john at example dot com`.
fn bare_at(lower: &[char], at: usize) -> Option<(char, usize)> {
    let length = word_between_spaces(lower, at, "at")?;
    let name: Vec<char> = lower[..at].iter().rev().take_while(|character| is_name(**character)).copied().collect();
    let after = &lower[at + length..];
    let domain: String = after.iter().take(80).take_while(|character| is_name(**character)).collect();
    let domain_length = domain.chars().count();
    let has_dot = domain.trim_end_matches('.').contains('.');
    let has_spelled_dot = ends_with_spelled_domain(&after[domain_length..]);
    let has_letter = name.iter().any(|character| character.is_alphabetic());
    let is_mailbox = name.iter().any(|character| "._".contains(*character) || character.is_ascii_digit());
    let label: String =
        lower[..at - name.len().min(at)].iter().rev().take(14).collect::<Vec<_>>().into_iter().rev().collect();
    let is_labeled = ["mail:", "mail", "邮箱:", "邮箱", "e-mail address:", "correo:"]
        .iter()
        .any(|word| label.trim_end().ends_with(word));
    let is_address = has_letter && !domain.is_empty() && (has_spelled_dot || (has_dot && (is_mailbox || is_labeled)));
    is_address.then_some(('@', length))
}

/// ` dot ` after an `@` or ` at ` in the same words.
fn bare_dot(lower: &[char], at: usize) -> Option<(char, usize)> {
    let length = word_between_spaces(lower, at, "dot")?;
    let before: String = lower[at.saturating_sub(60)..at].iter().collect();
    let is_address =
        before.contains('@') || before.contains(" at ") || before.contains("at)") || before.contains("at]");
    is_address.then_some(('.', length))
}

/// Returns whether ` dot com` follows, or several such parts of which the last is a top-level domain.
fn ends_with_spelled_domain(after: &[char]) -> bool {
    let text: String = after.iter().take(80).collect();
    let text = text.replace("(dot)", " dot ").replace("[dot]", " dot ").replace("{dot}", " dot ");
    let mut rest = text.trim_start();
    let mut is_complete = false;
    while let Some(label) = rest.strip_prefix("dot ").map(str::trim_start) {
        let end = label.find(|character: char| !character.is_alphanumeric()).unwrap_or(label.len());
        is_complete = is_top_level_domain(&label[..end].chars().collect::<Vec<_>>());
        rest = label[end..].trim_start();
    }
    is_complete
}

/// Returns the length of ` word ` at a position.
fn word_between_spaces(lower: &[char], at: usize, word: &str) -> Option<usize> {
    let length = word.chars().count() + 2;
    let found = lower.get(at..at + length)?;
    let inner = found[1..length - 1].iter().copied().eq(word.chars());
    (found[0] == ' ' && inner && found[length - 1] == ' ').then_some(length)
}

fn is_name(character: char) -> bool {
    !is_separator(character) && (character.is_alphanumeric() || "._+-".contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(text: &str) -> View {
        let one = |(at, character): (usize, char)| {
            let character = if character == '|' { CELL } else { character };
            ViewChar { character, place: Some(Place { text: 0, start: at, end: at + 1 }), after_markup: false }
        };
        View { chars: text.chars().enumerate().map(one).collect() }
    }

    fn text(view: Option<View>) -> Option<String> {
        view.map(|view| view.characters().into_iter().map(|one| if one == CELL { '|' } else { one }).collect())
    }

    #[test]
    fn characters_in_boxes_of_their_own_are_joined() {
        for (apart, expected) in [
            ("Card 4 1 1 1|1 1 1 12", Some("Card 4111111 12")),
            ("a|b|@|c|.|d|e f", Some("ab@c.def")),
            ("1 2 3 4 5 6", None),
            ("10 20 30 40 50 60 70", None),
            ("I saw a b", None),
        ] {
            assert_eq!(text(join_combs(&view(apart))).as_deref(), expected, "{apart}");
        }
    }

    #[test]
    fn spelled_addresses_are_those_of_no_sentence() {
        for (spelled, expected) in [
            ("john (at) example.com", Some("john@example.com")),
            ("john[at]example[dot]com", Some("john@example.com")),
            ("john {AT} example {DOT} com", Some("john@example.com")),
            ("john.smith at example.com", Some("john.smith@example.com")),
            ("john at example dot com now", Some("john@example.com now")),
            ("E-mail: john at example.com", Some("E-mail: john@example.com")),
            ("john(a)example.com", Some("john@example.com")),
            ("john-at-example-dot-com", Some("john@example.com")),
            ("see us at example.com", None),
            ("(a) first (b) second", None),
            ("on time at noon and at the end of it", None),
            ("John at the dot of the i", Some("John at the.of the i")),
        ] {
            assert_eq!(text(spell_out(&view(spelled))).as_deref(), expected, "{spelled}");
        }
    }
}
