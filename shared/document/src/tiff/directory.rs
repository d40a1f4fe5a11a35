//! Parses the chain of image file directories of a TIFF (TIFF 6.0, section 2), one per page, from untrusted input.

use std::{
    collections::HashSet,
    io::{self, Read, Seek, SeekFrom},
};

/// The most entries of a directory. Real ones have a dozen; the limit bounds the time for malicious ones.
const MAX_ENTRIES: u64 = 4_096;

/// The most directories per page: the page itself, its mask, and smaller copies of it.
const MAX_DIRECTORIES_PER_PAGE: usize = 16;

const NEW_SUBFILE_TYPE: u64 = 254;
const IMAGE_WIDTH: u64 = 256;
const IMAGE_LENGTH: u64 = 257;
const PHOTOMETRIC: u64 = 262;

/// Bits of `NewSubfileType` for an image that is not a page: a smaller copy of another image (1), or its mask (4).
const NOT_A_PAGE: u64 = 1 | 4;
const PALETTE: u64 = 3;

/// How the header declares that numbers and offsets are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TiffLayout {
    big_endian: bool,
    big_tiff: bool,
}

impl TiffLayout {
    /// Returns the position of the offset of the first directory.
    const fn first_offset(self) -> u64 {
        if self.big_tiff { 8 } else { 4 }
    }

    const fn offset_bytes(self) -> usize {
        if self.big_tiff { 8 } else { 4 }
    }

    const fn count_bytes(self) -> usize {
        if self.big_tiff { 8 } else { 2 }
    }

    const fn entry_bytes(self) -> usize {
        if self.big_tiff { 20 } else { 12 }
    }

    fn parse_number(self, bytes: &[u8]) -> u64 {
        let digit = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, digit) } else { bytes.iter().rev().fold(0, digit) }
    }

    fn encode_number(self, number: u64, count: usize) -> Vec<u8> {
        if self.big_endian {
            number.to_be_bytes()[8 - count..].to_vec()
        } else {
            number.to_le_bytes()[..count].to_vec()
        }
    }

    fn read_number(self, file: &mut impl Read, bytes: usize) -> io::Result<u64> {
        let mut buffer = [0; 8];
        file.read_exact(&mut buffer[..bytes])?;
        Ok(self.parse_number(&buffer[..bytes]))
    }
}

/// The entries of one directory that are needed before decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Directory {
    offset: u64,
    next: u64,
    subfile_type: u64,
    pub(super) size: (u32, u32),
    /// The position of its photometric interpretation, if that is 3: an image with a palette.
    palette: Option<u64>,
}

/// Why a chain of directories is invalid. Decision: refuse the document.
#[derive(Debug, thiserror::Error)]
pub(super) enum DirectoryError {
    #[error("its directory {number} cannot be read: {error}")]
    Unreadable { number: usize, error: io::Error },
    #[error("its directory {number} has {entries} entries")]
    TooManyEntries { number: usize, entries: u64 },
    #[error("it has more than {0} directories")]
    TooMany(usize),
    #[error("its directories form a loop")]
    Loop,
}

/// The pages of a TIFF. Reading stops at one page more than `max_pages`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DirectoryChain {
    pub(super) layout: TiffLayout,
    pub(super) pages: Vec<Directory>,
}

impl DirectoryChain {
    pub(super) fn read(file: &mut (impl Read + Seek), max_pages: u32) -> Result<Self, DirectoryError> {
        let unreadable = |number| move |error| DirectoryError::Unreadable { number, error };
        let (layout, mut offset) = read_header(file).map_err(unreadable(0))?;
        let mut pages = Vec::new();
        let mut seen = HashSet::new();
        let max_directories = (max_pages as usize + 1).saturating_mul(MAX_DIRECTORIES_PER_PAGE);
        while offset != 0 && pages.len() <= max_pages as usize {
            if !seen.insert(offset) {
                return Err(DirectoryError::Loop);
            }
            let number = seen.len();
            if number > max_directories {
                return Err(DirectoryError::TooMany(max_directories));
            }
            let entries = read_entry_count(file, layout, offset).map_err(unreadable(number))?;
            if entries > MAX_ENTRIES {
                return Err(DirectoryError::TooManyEntries { number, entries });
            }
            let directory = read_directory(file, layout, offset, entries).map_err(unreadable(number))?;
            offset = directory.next;
            // The first image is a page even if it is marked as a copy or mask.
            if pages.is_empty() || directory.subfile_type & NOT_A_PAGE == 0 {
                pages.push(directory);
            }
        }
        Ok(Self { layout, pages })
    }

    /// Returns the bytes to replace so that a decoder reads this directory first, and the indices of a palette as gray
    /// samples.
    pub(super) fn patches(&self, page: &Directory) -> Vec<(u64, Vec<u8>)> {
        let layout = self.layout;
        let first = (layout.first_offset(), layout.encode_number(page.offset, layout.offset_bytes()));
        let black_is_zero = page.palette.map(|at| (at, layout.encode_number(1, 2)));
        [Some(first), black_is_zero].into_iter().flatten().collect()
    }
}

impl Directory {
    pub(super) const fn has_palette(&self) -> bool {
        self.palette.is_some()
    }
}

fn read_header(file: &mut (impl Read + Seek)) -> io::Result<(TiffLayout, u64)> {
    let mut magic = [0; 4];
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut magic)?;
    let layout = TiffLayout { big_endian: magic[0] == b'M', big_tiff: magic.contains(&43) };
    file.seek(SeekFrom::Start(layout.first_offset()))?;
    let offset = layout.read_number(file, layout.offset_bytes())?;
    Ok((layout, offset))
}

fn read_entry_count(file: &mut (impl Read + Seek), layout: TiffLayout, offset: u64) -> io::Result<u64> {
    file.seek(SeekFrom::Start(offset))?;
    layout.read_number(file, layout.count_bytes())
}

/// Reads the entries, from where [`read_entry_count`] ended.
fn read_directory(file: &mut impl Read, layout: TiffLayout, offset: u64, entries: u64) -> io::Result<Directory> {
    let mut bytes = vec![0; entries as usize * layout.entry_bytes()];
    file.read_exact(&mut bytes)?;
    let next = layout.read_number(file, layout.offset_bytes())?;
    let mut directory = Directory { offset, next, subfile_type: 0, size: (0, 0), palette: None };
    let value_at = layout.entry_bytes() - layout.offset_bytes();
    for (number, entry) in bytes.chunks_exact(layout.entry_bytes()).enumerate() {
        // Field type 3 is SHORT and 16 is LONG8 (BigTIFF); these tags have no other types than these and LONG.
        let value_bytes = match layout.parse_number(&entry[2..4]) {
            3 => 2,
            16 => layout.offset_bytes(),
            _ => 4,
        };
        let value = layout.parse_number(&entry[value_at..][..value_bytes]);
        match layout.parse_number(&entry[..2]) {
            NEW_SUBFILE_TYPE => directory.subfile_type = value,
            IMAGE_WIDTH => directory.size.0 = value.try_into().unwrap_or(u32::MAX),
            IMAGE_LENGTH => directory.size.1 = value.try_into().unwrap_or(u32::MAX),
            PHOTOMETRIC if value == PALETTE && value_bytes == 2 => {
                let entry_at = offset + (layout.count_bytes() + number * layout.entry_bytes()) as u64;
                directory.palette = Some(entry_at + value_at as u64);
            }
            _ => {}
        }
    }
    Ok(directory)
}
