//! Incremental parser of server-sent events (WHATWG HTML, section 9.2).

/// Parses the data of events from chunks of bytes. Comments, names and ids of events are ignored.
#[derive(Debug, Default)]
pub(crate) struct EventParser {
    /// The bytes of the incomplete line.
    line: Vec<u8>,
    /// The data of the incomplete event.
    data: Option<String>,
    follows_return: bool,
}

impl EventParser {
    /// Parses the next bytes and returns the data of the events that they complete. Invalid UTF-8 becomes U+FFFD.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut events = Vec::new();
        for &byte in bytes {
            let follows_return = std::mem::replace(&mut self.follows_return, byte == b'\r');
            match byte {
                b'\n' if follows_return => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
        }
        events
    }

    /// Ends the stream, and returns the data of an event without its final empty line. The data may be truncated.
    pub(crate) fn finish(mut self) -> Option<String> {
        self.end_line().or(self.data)
    }

    fn end_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.data.take();
        }
        let value = line.strip_prefix(b"data:")?;
        let value = String::from_utf8_lossy(value.strip_prefix(b" ").unwrap_or(value));
        match &mut self.data {
            Some(data) => {
                data.push('\n');
                data.push_str(&value);
            }
            None => self.data = Some(value.into_owned()),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<String> {
        let mut events = EventParser::default();
        let mut all: Vec<String> = pieces.iter().flat_map(|piece| events.push(piece)).collect();
        all.extend(events.finish());
        all
    }

    #[test]
    fn only_the_data_of_events_is_returned() {
        let stream =
            b": hello\n\nevent: x\ndata: one\n\ndata:two\r\ndata: \xE6\x96\x87\r\n\r\nid: 7\rdata: three\r\rdata: four";
        assert_eq!(events(&[stream]), ["one", "two\n文", "three", "four"]);
    }

    proptest! {
        #[test]
        fn chunk_boundaries_do_not_matter(cuts in prop::collection::vec(0_usize..64, 0..6)) {
            let stream = "data: 一\r\n\r\ndata: two\ndata: 三\n\n: ping\n\ndata: 4\r\rdata: [DONE]\n\n".as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(events(&pieces), events(&[stream]));
        }

        #[test]
        fn any_bytes_can_be_parsed(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b':')], 0..80),
        ) {
            let data = events(&[&bytes]).concat();
            prop_assert!(data.chars().filter(|&c| c != char::REPLACEMENT_CHARACTER).count() <= bytes.len());
        }
    }
}
