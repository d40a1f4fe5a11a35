//! A file read as if some of its bytes were others.

use std::io::{self, Read, Seek, SeekFrom};

/// The decoder only knows how to begin with the first page. With the header's offset replaced, every page is the first,
/// and the ones before it, broken or many, cost nothing.
#[derive(Debug)]
pub(super) struct Patched<R> {
    inner: R,
    position: u64,
    patches: Vec<(u64, Vec<u8>)>,
}

impl<R: Read + Seek> Patched<R> {
    /// Reads `inner` from its beginning, with `patches` (an offset and the bytes there) in place of what it has.
    pub(super) fn new(mut inner: R, patches: Vec<(u64, Vec<u8>)>) -> io::Result<Self> {
        let position = inner.seek(SeekFrom::Start(0))?;
        Ok(Self { inner, position, patches })
    }
}

impl<R: Read> Read for Patched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let end = self.position + read as u64;
        for (offset, bytes) in &self.patches {
            for (at, byte) in (*offset..).zip(bytes) {
                if (self.position..end).contains(&at) {
                    buffer[(at - self.position) as usize] = *byte;
                }
            }
        }
        self.position = end;
        Ok(read)
    }
}

impl<R: Seek> Seek for Patched<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.inner.seek(to)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn patches_are_read_from_wherever_one_starts() {
        let mut patched =
            Patched::new(Cursor::new(b"0123456789"), vec![(2, b"ab".to_vec()), (9, b"z!".to_vec())]).expect("seeks");
        let mut read_from = |start| {
            let mut text = String::new();
            patched.seek(SeekFrom::Start(start)).expect("seeks");
            patched.read_to_string(&mut text).expect("reads");
            text
        };
        assert_eq!(read_from(0), "01ab45678z");
        assert_eq!(read_from(3), "b45678z");
    }
}
