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
const SUBFILE_TYPE: u64 = 255;
const IMAGE_WIDTH: u64 = 256;
const IMAGE_LENGTH: u64 = 257;

/// Bits of `NewSubfileType` for an image that is not a page: a smaller copy of another image (1), or its mask (4).
const NOT_A_PAGE: u64 = 1 | 4;
/// The value of the older `SubfileType` for a smaller copy of another image.
const REDUCED_IMAGE: u64 = 2;

/// How the header declares that numbers and offsets are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TiffLayout {
    pub(super) big_endian: bool,
    big_tiff: bool,
}

impl TiffLayout {
    /// Returns the position of the offset of the first directory.
    const fn first_offset(self) -> u64 {
        if self.big_tiff { 8 } else { 4 }
    }

    pub(super) const fn offset_bytes(self) -> usize {
        if self.big_tiff { 8 } else { 4 }
    }

    const fn count_bytes(self) -> usize {
        if self.big_tiff { 8 } else { 2 }
    }

    pub(super) const fn entry_bytes(self) -> usize {
        if self.big_tiff { 20 } else { 12 }
    }

    pub(super) fn parse_number(self, bytes: &[u8]) -> u64 {
        let digit = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, digit) } else { bytes.iter().rev().fold(0, digit) }
    }

    fn read_number(self, file: &mut impl Read, bytes: usize) -> io::Result<u64> {
        let mut buffer = [0; 8];
        file.read_exact(&mut buffer[..bytes])?;
        Ok(self.parse_number(&buffer[..bytes]))
    }
}

/// A directory of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Directory {
    pub(super) offset: u64,
    next: u64,
    /// Whether it is a smaller copy of another image, or its mask.
    is_secondary: bool,
    pub(super) size: (u32, u32),
}

/// Why the rest of the chain is lost. Decision: fail the page that would be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum LostPage {
    #[error("the file ends before its directory")]
    Truncated,
    #[error("its directory is damaged")]
    Damaged,
    #[error("its directory is that of an earlier page")]
    Loop,
    #[error("the TIFF has too many directories")]
    TooMany,
}

/// The pages of a TIFF. Reading stops at one page more than `max_pages`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DirectoryChain {
    pub(super) layout: TiffLayout,
    pub(super) pages: Vec<Directory>,
    /// Why the pages after them cannot be read.
    pub(super) lost: Option<LostPage>,
}

impl DirectoryChain {
    /// Reads the directories up to one that is damaged.
    ///
    /// # Errors
    /// Fails if the header cannot be read.
    pub(super) fn read(file: &mut (impl Read + Seek), max_pages: u32) -> io::Result<Self> {
        let (layout, mut offset) = read_header(file)?;
        let mut directories: Vec<Directory> = Vec::new();
        let mut seen = HashSet::new();
        let mut lost = None;
        let max_directories = (max_pages as usize + 1).saturating_mul(MAX_DIRECTORIES_PER_PAGE);
        let mut pages = 0;
        while offset != 0 && pages <= max_pages {
            if !seen.insert(offset) {
                lost = Some(LostPage::Loop);
                break;
            }
            if seen.len() > max_directories {
                lost = Some(LostPage::TooMany);
                break;
            }
            match read_directory(file, layout, offset) {
                Ok(directory) => {
                    offset = directory.next;
                    pages += u32::from(!directory.is_secondary);
                    directories.push(directory);
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    lost = Some(LostPage::Truncated);
                    break;
                }
                Err(_) => {
                    lost = Some(LostPage::Damaged);
                    break;
                }
            }
        }
        // In a file of copies and masks only, the first one is the page.
        if pages == 0 {
            directories.truncate(1);
        } else {
            directories.retain(|directory| !directory.is_secondary);
        }
        Ok(Self { layout, pages: directories, lost })
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

/// Returns the bytes of the entries, and the offset of the next directory.
pub(super) fn read_entries(
    file: &mut (impl Read + Seek),
    layout: TiffLayout,
    offset: u64,
) -> io::Result<(Vec<u8>, u64)> {
    file.seek(SeekFrom::Start(offset))?;
    let entries = layout.read_number(file, layout.count_bytes())?;
    if entries == 0 || entries > MAX_ENTRIES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; entries as usize * layout.entry_bytes()];
    file.read_exact(&mut bytes)?;
    // Some writers end the file with the entries.
    let next = layout.read_number(file, layout.offset_bytes()).unwrap_or(0);
    Ok((bytes, next))
}

fn read_directory(file: &mut (impl Read + Seek), layout: TiffLayout, offset: u64) -> io::Result<Directory> {
    let (bytes, next) = read_entries(file, layout, offset)?;
    let mut directory = Directory { offset, next, is_secondary: false, size: (0, 0) };
    let value_at = layout.entry_bytes() - layout.offset_bytes();
    for entry in bytes.chunks_exact(layout.entry_bytes()) {
        // Field type 3 is SHORT and 16 is LONG8 (BigTIFF); these tags have no other types than these and LONG.
        let value_bytes = match layout.parse_number(&entry[2..4]) {
            3 => 2,
            16 => layout.offset_bytes(),
            _ => 4,
        };
        let value = layout.parse_number(&entry[value_at..][..value_bytes]);
        match layout.parse_number(&entry[..2]) {
            NEW_SUBFILE_TYPE => directory.is_secondary |= value & NOT_A_PAGE != 0,
            SUBFILE_TYPE => directory.is_secondary |= value == REDUCED_IMAGE,
            IMAGE_WIDTH => directory.size.0 = value.try_into().unwrap_or(u32::MAX),
            IMAGE_LENGTH => directory.size.1 = value.try_into().unwrap_or(u32::MAX),
            _ => {}
        }
    }
    if directory.size.0 == 0 || directory.size.1 == 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(directory)
}
