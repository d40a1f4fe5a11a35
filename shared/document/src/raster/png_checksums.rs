//! The checksums of a PNG's image data.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek},
};

use flate2::Crc;

use crate::image_fault::ImageFault;

/// The bytes of the signature before the first chunk.
const SIGNATURE_BYTES: u64 = 8;

/// Returns whether a chunk of image data has a wrong checksum (PNG, section 5.3), so that pixels may be wrong although
/// all rows were decoded.
pub(super) fn has_wrong_one(file: &File) -> Result<bool, ImageFault> {
    let mut reader = BufReader::new(file);
    reader.seek(io::SeekFrom::Start(SIGNATURE_BYTES))?;
    while let Some((kind, is_right)) = next_chunk(&mut reader)? {
        if &kind == b"IDAT" && !is_right {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads a chunk: its type, and whether its checksum is right; `None` at the end of the file.
fn next_chunk(reader: &mut impl Read) -> Result<Option<([u8; 4], bool)>, ImageFault> {
    let (mut length, mut kind) = ([0; 4], [0; 4]);
    if reader.read_exact(&mut length).is_err() || reader.read_exact(&mut kind).is_err() {
        return Ok(None);
    }
    let mut checksum = Crc::new();
    checksum.update(&kind);
    let mut left = u64::from(u32::from_be_bytes(length));
    let mut buffer = [0; 8192];
    while left > 0 {
        let wanted = left.min(buffer.len() as u64) as usize;
        let read = reader.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Ok(None);
        }
        checksum.update(&buffer[..read]);
        left -= read as u64;
    }
    let mut stored = [0; 4];
    if reader.read_exact(&mut stored).is_err() {
        return Ok(None);
    }
    Ok(Some((kind, u32::from_be_bytes(stored) == checksum.sum())))
}
