//! A reader that replaces some bytes of a file.

use std::io::{self, Read, Seek, SeekFrom};

/// Replaces bytes while reading. The decoder can only start at the first page; with the offset in the header replaced,
/// any page is the first, so that invalid or many pages before it do not matter.
#[derive(Debug)]
pub(super) struct PatchedReader<R> {
    inner: R,
    position: u64,
    patches: Vec<(u64, Vec<u8>)>,
}

impl<R: Read + Seek> PatchedReader<R> {
    /// Reads `inner` from its beginning with `patches`, each an offset and the bytes to read there.
    pub(super) fn new(mut inner: R, patches: Vec<(u64, Vec<u8>)>) -> io::Result<Self> {
        let position = inner.seek(SeekFrom::Start(0))?;
        Ok(Self { inner, position, patches })
    }
}

impl<R: Read> Read for PatchedReader<R> {
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

impl<R: Seek> Seek for PatchedReader<R> {
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
    fn patches_apply_from_any_start_position() {
        let mut patched =
            PatchedReader::new(Cursor::new(b"0123456789"), vec![(2, b"ab".to_vec()), (9, b"z!".to_vec())])
                .expect("seeks");
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
