//! The chain of directories in a TIFF, one for each page: counted without trusting it.

use std::{
    collections::HashSet,
    io::{self, Read, Seek, SeekFrom},
};

/// A directory has a dozen entries; one with more than this is made to waste our time.
const MAX_ENTRIES: u64 = 4_096;

/// For each page that is taken: itself, its mask, and smaller copies of it. More is made to waste our time, too.
const MAX_DIRECTORIES_A_PAGE: usize = 16;

const NEW_SUBFILE_TYPE: u64 = 254;
const IMAGE_WIDTH: u64 = 256;
const IMAGE_LENGTH: u64 = 257;
const PHOTOMETRIC: u64 = 262;

/// `NewSubfileType` of an image that is no page: a smaller copy of another one (1), or its mask (4).
const NOT_A_PAGE: u64 = 1 | 4;
const PALETTE: u64 = 3;

/// How numbers and offsets are written, as the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    big_endian: bool,
    big_tiff: bool,
}

impl Layout {
    /// Where the header has the first directory's offset.
    const fn first(self) -> u64 {
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

    fn number(self, bytes: &[u8]) -> u64 {
        let digit = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, digit) } else { bytes.iter().rev().fold(0, digit) }
    }

    fn bytes(self, number: u64, count: usize) -> Vec<u8> {
        if self.big_endian {
            number.to_be_bytes()[8 - count..].to_vec()
        } else {
            number.to_le_bytes()[..count].to_vec()
        }
    }

    fn read(self, file: &mut impl Read, bytes: usize) -> io::Result<u64> {
        let mut buffer = [0; 8];
        file.read_exact(&mut buffer[..bytes])?;
        Ok(self.number(&buffer[..bytes]))
    }
}

/// What one directory says of its image, as far as a check wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Directory {
    offset: u64,
    next: u64,
    subfile_type: u64,
    pub(super) size: (u32, u32),
    /// Where the value 3 stands that makes it an image with a palette.
    palette: Option<u64>,
}

/// Why a chain of directories cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("its directory {number} cannot be read: {error}")]
    Unreadable { number: usize, error: io::Error },
    #[error("its directory {number} has {entries} entries")]
    TooManyEntries { number: usize, entries: u64 },
    #[error("it has more than {0} directories")]
    TooMany(usize),
    #[error("its directories run in a circle")]
    Loop,
}

/// The pages of a TIFF, at most one more than `max_pages`, so that too many are known without counting them all.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) layout: Layout,
    pub(super) pages: Vec<Directory>,
}

impl Chain {
    pub(super) fn read(file: &mut (impl Read + Seek), max_pages: u32) -> Result<Self, Broken> {
        let unreadable = |number| move |error| Broken::Unreadable { number, error };
        let (layout, mut offset) = header(file).map_err(unreadable(0))?;
        let (mut pages, mut seen) = (Vec::new(), HashSet::new());
        let max_directories = (max_pages as usize + 1).saturating_mul(MAX_DIRECTORIES_A_PAGE);
        while offset != 0 && pages.len() <= max_pages as usize {
            if !seen.insert(offset) {
                return Err(Broken::Loop);
            }
            let number = seen.len();
            if number > max_directories {
                return Err(Broken::TooMany(max_directories));
            }
            let entries = count(file, layout, offset).map_err(unreadable(number))?;
            if entries > MAX_ENTRIES {
                return Err(Broken::TooManyEntries { number, entries });
            }
            let directory = directory(file, layout, offset, entries).map_err(unreadable(number))?;
            offset = directory.next;
            // Whatever it says of itself, the first image is one.
            if pages.is_empty() || directory.subfile_type & NOT_A_PAGE == 0 {
                pages.push(directory);
            }
        }
        Ok(Self { layout, pages })
    }

    /// What to change so that a decoder takes this directory for the first one, and a palette's indices for grays.
    pub(super) fn patches(&self, page: &Directory) -> Vec<(u64, Vec<u8>)> {
        let layout = self.layout;
        let first = (layout.first(), layout.bytes(page.offset, layout.offset_bytes()));
        let black_is_zero = page.palette.map(|at| (at, layout.bytes(1, 2)));
        [Some(first), black_is_zero].into_iter().flatten().collect()
    }
}

impl Directory {
    pub(super) const fn has_palette(&self) -> bool {
        self.palette.is_some()
    }
}

fn header(file: &mut (impl Read + Seek)) -> io::Result<(Layout, u64)> {
    let mut magic = [0; 4];
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut magic)?;
    let layout = Layout { big_endian: magic[0] == b'M', big_tiff: magic.contains(&43) };
    file.seek(SeekFrom::Start(layout.first()))?;
    let offset = layout.read(file, layout.offset_bytes())?;
    Ok((layout, offset))
}

fn count(file: &mut (impl Read + Seek), layout: Layout, offset: u64) -> io::Result<u64> {
    file.seek(SeekFrom::Start(offset))?;
    layout.read(file, layout.count_bytes())
}

/// Reads on where [`count`] ended.
fn directory(file: &mut impl Read, layout: Layout, offset: u64, entries: u64) -> io::Result<Directory> {
    let mut bytes = vec![0; entries as usize * layout.entry_bytes()];
    file.read_exact(&mut bytes)?;
    let next = layout.read(file, layout.offset_bytes())?;
    let mut directory = Directory { offset, next, subfile_type: 0, size: (0, 0), palette: None };
    let value_at = layout.entry_bytes() - layout.offset_bytes();
    for (number, entry) in bytes.chunks_exact(layout.entry_bytes()).enumerate() {
        // 3 is SHORT, 16 is LONG8; what else these tags may be is LONG.
        let value_bytes = match layout.number(&entry[2..4]) {
            3 => 2,
            16 => layout.offset_bytes(),
            _ => 4,
        };
        let value = layout.number(&entry[value_at..][..value_bytes]);
        match layout.number(&entry[..2]) {
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
