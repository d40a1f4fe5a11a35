//! The normalized text in which matches are searched.

/// A match: positions from `start` (inclusive) to `end` (exclusive) in all characters of all lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The kind or the custom pattern that was found.
    pub(crate) kind: String,
}

/// All lines as one normalized text. Searches use positions in [`SearchText::chars`], which [`SearchText::span`]
/// converts to positions in the original lines.
#[derive(Debug)]
pub(crate) struct SearchText {
    /// Normalized characters without invisible ones. Lines end with `\n`.
    pub(crate) chars: Vec<char>,
    /// The original position of each, counted over all characters of all lines and one per line end.
    positions: Vec<usize>,
    /// The original position of the start of each line, and of the end of the text.
    line_starts: Vec<usize>,
}

/// Replaces the placeholders of an earlier redaction: a character that no pattern matches.
const BARRIER: char = '\0';

impl SearchText {
    /// Normalizes lines. `find_placeholders` returns the ranges of a line that an earlier redaction has replaced.
    pub(crate) fn new(lines: &[&str], find_placeholders: impl Fn(&str) -> Vec<(usize, usize)>) -> Self {
        let mut text = Self { chars: Vec::new(), positions: Vec::new(), line_starts: vec![0] };
        let mut position = 0;
        for line in lines {
            let placeholders = find_placeholders(line);
            let mut placeholders = placeholders.iter().peekable();
            for (index, character) in line.chars().enumerate() {
                placeholders.next_if(|(_, end)| *end <= index);
                let is_placeholder = placeholders.peek().is_some_and(|(start, _)| *start <= index);
                let normalized = if is_placeholder { Some(BARRIER) } else { normalize(character) };
                if let Some(character) = normalized {
                    text.chars.push(character);
                    text.positions.push(position);
                }
                position += 1;
            }
            text.chars.push('\n');
            text.positions.push(position);
            position += 1;
            text.line_starts.push(position);
        }
        text
    }

    /// Converts a match in `chars` to a span of the original lines.
    pub(crate) fn span(&self, start: usize, end: usize, kind: &str) -> Span {
        Span { start: self.positions[start], end: self.positions[end - 1] + 1, kind: kind.to_owned() }
    }

    /// Converts a range of one original line to a span.
    pub(crate) fn span_in_line(&self, line: usize, start: usize, end: usize, kind: &str) -> Span {
        let line_start = self.line_starts[line];
        Span { start: line_start + start, end: line_start + end, kind: kind.to_owned() }
    }

    /// Returns the parts of the sorted spans in one line, as (start, end, kind) from the start of the line.
    pub(crate) fn ranges_in_line<'a>(&self, line: usize, spans: &'a [Span]) -> Vec<(usize, usize, &'a str)> {
        let line_start = self.line_starts[line];
        let line_end = self.line_starts[line + 1] - 1;
        let first = spans.partition_point(|span| span.end <= line_start);
        let overlapping = spans[first..].iter().take_while(|span| span.start < line_end);
        overlapping
            .map(|span| {
                let start = span.start.max(line_start) - line_start;
                let end = span.end.min(line_end) - line_start;
                (start, end, span.kind.as_str())
            })
            .filter(|(start, end, _)| start < end)
            .collect()
    }
}

/// Sorts spans and merges those that overlap. A merged span has the kind of its first part, or of the longest of those
/// that begin at the same position.
pub(crate) fn merge_spans(mut spans: Vec<Span>) -> Vec<Span> {
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

/// Maps a character to the ASCII character that it most likely represents in an address or a number, or to `None` if it
/// is invisible.
pub(crate) fn normalize(character: char) -> Option<char> {
    let normalized = match character {
        // Soft hyphen, zero-width and directional characters, byte order mark.
        '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}' | '\r' => {
            return None;
        }
        // Full-width forms of ASCII.
        '\u{FF01}'..='\u{FF5E}' => shift(character, 0xFF01, '!'),
        // Hyphens, dashes, minus signs, and the Japanese long vowel mark.
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' | '\u{30FC}' => '-',
        '。' | '｡' | '·' | '・' | '․' => '.',
        // Arabic-Indic, Persian and Devanagari digits.
        '\u{660}'..='\u{669}' => shift(character, 0x660, '0'),
        '\u{6F0}'..='\u{6F9}' => shift(character, 0x6F0, '0'),
        '\u{966}'..='\u{96F}' => shift(character, 0x966, '0'),
        // Mathematical digits, e.g. bold and double-struck: five alphabets of ten.
        '\u{1D7CE}'..='\u{1D7FF}' => char::from(b'0' + ((character as u32 - 0x1D7CE) % 10) as u8),
        '﹫' => '@',
        '\n' => '\n',
        white if white.is_whitespace() => ' ',
        other => other,
    };
    Some(normalized)
}

fn shift(character: char, from: u32, to: char) -> char {
    char::from_u32(character as u32 - from + to as u32).unwrap_or(character)
}

/// Returns whether the character is of a script without spaces between words, where a word may precede an address
/// directly.
pub(crate) fn is_cjk(character: char) -> bool {
    matches!(character,
        '\u{2E80}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{323AF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_characters_are_normalized_and_invisible_ones_removed() {
        let text = SearchText::new(&["１３８\u{200B}—０", "x＠y。z"], |_| Vec::new());
        assert_eq!(text.chars.iter().collect::<String>(), "138-0\nx@y.z\n");
        let spans = [text.span(1, 8, "a")];
        assert_eq!(text.ranges_in_line(0, &spans), [(1, 6, "a")], "the invisible character is inside the range");
        assert_eq!(text.ranges_in_line(1, &spans), [(0, 2, "a")]);
    }

    #[test]
    fn overlapping_spans_are_merged_and_keep_the_kind_of_the_first_and_longest() {
        let span = |start, end, kind: &str| Span { start, end, kind: kind.to_owned() };
        let found = vec![span(5, 9, "c"), span(0, 3, "b"), span(0, 4, "a"), span(3, 5, "d"), span(9, 10, "e")];
        let expected = [span(0, 5, "a"), span(5, 9, "c"), span(9, 10, "e")];
        assert_eq!(merge_spans(found), expected);
    }
}
