//! Reads the bytes of an image.

use std::{
    fs::File,
    io::{Read, Seek},
};

use crate::image_fault::ImageFault;

/// Reads the whole file from its start.
pub(super) fn read_whole(file: &File) -> Result<Vec<u8>, ImageFault> {
    read_head(file, u64::MAX)
}

/// Reads at most `bytes` from the start of the file.
pub(super) fn read_head(mut file: &File, bytes: u64) -> Result<Vec<u8>, ImageFault> {
    let mut head = Vec::new();
    file.rewind()?;
    file.take(bytes).read_to_end(&mut head)?;
    Ok(head)
}
