//! Converts tokens to text incrementally.

/// The text of a page so far. Incomplete UTF-8 sequences are held back; invalid bytes become U+FFFD.
#[derive(Debug, Default)]
pub(crate) struct TextStream {
    text: String,
    characters: usize,
    held: Vec<u8>,
    /// Where each token ends in the text, and its probability.
    ends: Vec<(usize, f32)>,
}

impl TextStream {
    /// Appends the bytes and the probability of a token.
    pub(crate) fn push(&mut self, bytes: &[u8], probability: f32) {
        self.held.extend_from_slice(bytes);
        let before = self.text.len();
        let mut whole = 0;
        for chunk in self.held.utf8_chunks() {
            self.text.push_str(chunk.valid());
            whole += chunk.valid().len();
            // The last sequence may be completed by the next token.
            if chunk.invalid().is_empty()
                || (whole + chunk.invalid().len() == self.held.len() && may_go_on(chunk.invalid()))
            {
                break;
            }
            self.text.push(char::REPLACEMENT_CHARACTER);
            whole += chunk.invalid().len();
        }
        self.held.drain(..whole);
        self.characters += self.text[before..].chars().count();
        self.ends.push((self.text.len(), probability));
    }

    /// Ends the text: incomplete bytes become U+FFFD.
    pub(crate) fn finish(&mut self) {
        if !std::mem::take(&mut self.held).is_empty() {
            self.text.push(char::REPLACEMENT_CHARACTER);
            self.characters += 1;
            if let Some((end, _)) = self.ends.last_mut() {
                *end = self.text.len();
            }
        }
    }

    /// Truncates the text to this number of bytes.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.text.truncate(length);
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) const fn characters(&self) -> usize {
        self.characters
    }

    /// Returns the lines, each with the mean probability of its tokens.
    pub(crate) fn lines(&self) -> Vec<(&str, f32)> {
        let mut start = 0;
        let text = self.text.trim_end();
        let lines = text.split('\n').map(|line| {
            let range = (start, start + line.len());
            start = range.1 + 1;
            (line, self.mean_probability(range.0, range.1))
        });
        if text.is_empty() { Vec::new() } else { lines.collect() }
    }

    fn mean_probability(&self, start: usize, end: usize) -> f32 {
        let from = self.ends.partition_point(|&(token_end, _)| token_end <= start);
        let before_end = |index: usize| if index == 0 { 0 } else { self.ends[index - 1].0 };
        let tokens = (from..self.ends.len()).take_while(|&index| before_end(index) < end);
        let (sum, count) = tokens.fold((0.0, 0), |(sum, count), index| (sum + self.ends[index].1, count + 1));
        if count == 0 { 1.0 } else { sum / count as f32 }
    }
}

/// Returns whether bytes are the start of a UTF-8 sequence.
fn may_go_on(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(pieces: &[&[u8]]) -> TextStream {
        let mut stream = TextStream::default();
        for piece in pieces {
            stream.push(piece, 1.0);
        }
        stream
    }

    #[test]
    fn an_incomplete_character_is_held_back() {
        let mut stream = stream(&[b"a", &[0xE6, 0x96]]);
        assert_eq!(stream.text(), "a");
        stream.push(&[0x87], 1.0);
        assert_eq!((stream.text(), stream.characters()), ("a文", 2));
        stream.push(&[0xF0, 0x9F], 1.0);
        stream.finish();
        assert_eq!(stream.text(), "a文\u{FFFD}");
    }

    #[test]
    fn invalid_bytes_do_not_hold_back_the_rest() {
        assert_eq!(stream(&[&[0xFF, b'a', 0xE6], b"b"]).text(), "\u{FFFD}a\u{FFFD}b");
    }

    #[test]
    fn the_confidence_of_a_line_is_the_mean_of_its_tokens() {
        let mut stream = TextStream::default();
        for (piece, probability) in [("on", 0.5), ("e\n", 0.7), ("two", 1.0), ("\n", 0.2), ("\n ", 0.1)] {
            stream.push(piece.as_bytes(), probability);
        }
        let lines = stream.lines();
        assert_eq!(lines.iter().map(|(line, _)| *line).collect::<Vec<_>>(), ["one", "two"]);
        assert!((lines[0].1 - 0.6).abs() < 1e-6 && (lines[1].1 - 1.0).abs() < 1e-6, "{lines:?}");
        assert!(TextStream::default().lines().is_empty());
    }

    proptest! {
        #[test]
        fn the_text_is_independent_of_token_boundaries(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            cuts in prop::collection::vec(0_usize..40, 0..8),
        ) {
            let ends = [0, bytes.len()];
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain(ends).collect();
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let mut stream = stream(&pieces);
            stream.finish();
            prop_assert_eq!(stream.text(), String::from_utf8_lossy(&bytes));
            prop_assert_eq!(stream.characters(), stream.text().chars().count());
        }
    }
}
