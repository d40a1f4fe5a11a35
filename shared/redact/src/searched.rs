//! Text as it is searched: lines one below the other, each character as what it most likely stands for.

/// A place in the text, or a stretch of it: from a character up to another, not included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// What it is.
    pub(crate) kind: String,
}

/// Lines to be searched. Places in `chars` are the finders'; [`Searched::span`] says where that is in the lines.
#[derive(Debug)]
pub(crate) struct Searched {
    /// Folded, lines set apart by `\n`, without what nobody sees.
    pub(crate) chars: Vec<char>,
    /// Where each of them stands, all characters of all lines counted, and one for each line's end.
    at: Vec<usize>,
    /// Where each line begins, and where one more would.
    begins: Vec<usize>,
}

/// What stands where a placeholder is: nothing that anybody looks for.
const BARRIER: char = '\0';

impl Searched {
    /// Lines, and in each the stretches that stand for something that was taken out before.
    pub(crate) fn new(lines: &[&str], placeholders: impl Fn(&str) -> Vec<(usize, usize)>) -> Self {
        let mut searched = Self { chars: Vec::new(), at: Vec::new(), begins: vec![0] };
        let mut place = 0;
        for line in lines {
            let taken = placeholders(line);
            let mut taken = taken.iter().peekable();
            for (index, character) in line.chars().enumerate() {
                taken.next_if(|(_, end)| *end <= index);
                let inside = taken.peek().is_some_and(|(start, _)| *start <= index);
                let folded = if inside { Some(BARRIER) } else { fold(character) };
                searched.chars.extend(folded);
                searched.at.extend(folded.map(|_| place));
                place += 1;
            }
            searched.chars.push('\n');
            searched.at.push(place);
            place += 1;
            searched.begins.push(place);
        }
        searched
    }

    /// What was found from `start` up to `end`, as a stretch of all characters of all lines.
    pub(crate) fn span(&self, start: usize, end: usize, kind: &str) -> Span {
        Span { start: self.at[start], end: self.at[end - 1] + 1, kind: kind.to_owned() }
    }

    /// A stretch of one line, likewise.
    pub(crate) fn span_in(&self, line: usize, start: usize, end: usize, kind: &str) -> Span {
        let begin = self.begins[line];
        Span { start: begin + start, end: begin + end, kind: kind.to_owned() }
    }

    /// The parts of these stretches that lie in a line, counted from its beginning.
    pub(crate) fn of_line<'a>(&self, line: usize, spans: &'a [Span]) -> Vec<(usize, usize, &'a str)> {
        let (begin, end) = (self.begins[line], self.begins[line + 1] - 1);
        let first = spans.partition_point(|span| span.end <= begin);
        let inside = spans[first..].iter().take_while(|span| span.start < end);
        inside
            .map(|span| (span.start.max(begin) - begin, span.end.min(end) - begin, span.kind.as_str()))
            .filter(|(start, end, _)| start < end)
            .collect()
    }
}

/// In order, those that overlap made one, which is called after the one that begins first, and of those the longest.
pub(crate) fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by(|a, b| a.start.cmp(&b.start).then(b.end.cmp(&a.end)));
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

/// What a character most likely stands for in an address or a number; nothing for one that is not seen.
pub(crate) fn fold(character: char) -> Option<char> {
    let folded = match character {
        '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}' | '\r' => {
            return None;
        }
        // Full-width forms of ASCII.
        '\u{FF01}'..='\u{FF5E}' => shift(character, 0xFF01, '!'),
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' | '\u{30FC}' => '-',
        '。' | '｡' | '·' | '・' | '․' => '.',
        '\u{660}'..='\u{669}' => shift(character, 0x660, '0'),
        '\u{6F0}'..='\u{6F9}' => shift(character, 0x6F0, '0'),
        '\u{966}'..='\u{96F}' => shift(character, 0x966, '0'),
        // Digits in bold, double-struck and so on: five alphabets of ten.
        '\u{1D7CE}'..='\u{1D7FF}' => char::from(b'0' + ((character as u32 - 0x1D7CE) % 10) as u8),
        '﹫' => '@',
        '\n' => '\n',
        white if white.is_whitespace() => ' ',
        other => other,
    };
    Some(folded)
}

fn shift(character: char, from: u32, to: char) -> char {
    char::from_u32(character as u32 - from + to as u32).unwrap_or(character)
}

/// Whether it is written without spaces between words: then a word before an address may be glued to it.
pub(crate) fn is_cjk(character: char) -> bool {
    matches!(character, '\u{2E80}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{323AF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_is_the_same_and_what_is_not_seen_is_not_there() {
        let searched = Searched::new(&["１３８\u{200B}—０", "x＠y。z"], |_| Vec::new());
        assert_eq!(searched.chars.iter().collect::<String>(), "138-0\nx@y.z\n");
        let across = searched.span(1, 8, "a");
        let lines = [across];
        assert_eq!(searched.of_line(0, &lines), [(1, 6, "a")], "what is not seen lies within");
        assert_eq!(searched.of_line(1, &lines), [(0, 2, "a")]);
    }

    #[test]
    fn what_overlaps_is_one_and_is_called_after_the_first_and_longest() {
        let span = |start, end, kind: &str| Span { start, end, kind: kind.to_owned() };
        let found = vec![span(5, 9, "c"), span(0, 3, "b"), span(0, 4, "a"), span(3, 5, "d"), span(9, 10, "e")];
        let expected = [span(0, 5, "a"), span(5, 9, "c"), span(9, 10, "e")];
        assert_eq!(merged(found), expected);
    }
}
