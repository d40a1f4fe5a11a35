//! Server-sent events out of the bytes of an answer, however these are cut.

/// The data of each event. Comments, names and ids of events mean nothing here.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Bytes behind the last end of a line.
    line: Vec<u8>,
    /// The data of the event that is not at its end yet.
    data: Option<String>,
    after_return: bool,
}

impl Events {
    /// Takes the next bytes; gives each event that ends in them. What is no UTF-8 becomes U+FFFD.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut ended = Vec::new();
        for &byte in bytes {
            let follows_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if follows_return => {}
                b'\n' | b'\r' => ended.extend(self.end_of_line()),
                _ => self.line.push(byte),
            }
        }
        ended
    }

    /// There are no more bytes: an event that lacks its empty line is one all the same if its data is whole, which its
    /// reader will see.
    pub(crate) fn finish(mut self) -> Option<String> {
        self.end_of_line().or(self.data)
    }

    fn end_of_line(&mut self) -> Option<String> {
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
        let mut events = Events::default();
        let mut all: Vec<String> = pieces.iter().flat_map(|piece| events.push(piece)).collect();
        all.extend(events.finish());
        all
    }

    #[test]
    fn data_is_kept_and_everything_else_is_not() {
        let stream =
            b": hello\n\nevent: x\ndata: one\n\ndata:two\r\ndata: \xE6\x96\x87\r\n\r\nid: 7\rdata: three\r\rdata: four";
        assert_eq!(events(&[stream]), ["one", "two\n文", "three", "four"]);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_bytes_are_cut(cuts in prop::collection::vec(0_usize..64, 0..6)) {
            let stream = "data: 一\r\n\r\ndata: two\ndata: 三\n\n: ping\n\ndata: 4\r\rdata: [DONE]\n\n".as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(events(&pieces), events(&[stream]));
        }

        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b':')], 0..80)) {
            let data = events(&[&bytes]).concat();
            prop_assert!(data.chars().filter(|&c| c != char::REPLACEMENT_CHARACTER).count() <= bytes.len());
        }
    }
}
