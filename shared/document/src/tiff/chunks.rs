//! Where the strips or tiles of an image are in its file (TIFF 6.0, sections 3 and 15), corrected for writers that omit
//! or misstate their lengths.

use super::{
    shape::{Shape, compression},
    tags::{Tags, tag},
};
use crate::image_fault::{DAMAGED, ImageFault};

/// A longer strip without compression is read in parts of about this many bytes.
const PART_BYTES: u64 = 4 << 20;
/// The most bytes of a decompressed strip or tile: a whole image of 100 million pixels in four colors.
const MAX_CHUNK_BYTES: u64 = 400_000_000;

/// The smallest side of a tile. It must be a multiple of 16 (TIFF 6.0, section 15); this bounds the number of tiles.
const MIN_TILE_SIDE: u64 = 8;

/// The grid of strips or tiles, for each plane: a band is a row of tiles, or a strip.
#[derive(Debug)]
pub(super) struct Chunks {
    /// Width and height of a tile; the last ones may be beyond the image.
    pub(super) size: (u32, u32),
    /// Tiles beside each other; 1 for strips.
    pub(super) columns: usize,
    pub(super) bands: usize,
    pub(super) planes: usize,
    /// Position and length of each in the file.
    places: Vec<(u64, u64)>,
    /// Bytes of a row without compression; of a row of units with subsampled colors.
    pub(super) row_bytes: usize,
    is_tiled: bool,
}

impl Chunks {
    /// Reads the grid of an image in a file of `file_bytes`.
    ///
    /// # Errors
    /// Fails if there is no data, or more than the limit in one part.
    pub(super) fn of(tags: &Tags, shape: &Shape, file_bytes: u64) -> Result<Self, ImageFault> {
        let planes = if shape.is_planar { shape.samples } else { 1 };
        let tile = tags.number(tag::TILE_WIDTH).zip(tags.number(tag::TILE_LENGTH));
        let is_tiled = tile.is_some_and(|(width, height)| width > 0 && height > 0);
        let (offsets, counts) = if tags.numbers(tag::TILE_OFFSETS).is_empty() {
            (tags.numbers(tag::STRIP_OFFSETS), tags.numbers(tag::STRIP_BYTE_COUNTS))
        } else {
            (tags.numbers(tag::TILE_OFFSETS), tags.numbers(tag::TILE_BYTE_COUNTS))
        };
        let is_tiny = |(width, height): (u64, u64)| width < MIN_TILE_SIDE || height < MIN_TILE_SIDE;
        if offsets.is_empty() || is_tiled && tile.is_some_and(is_tiny) {
            return Err(DAMAGED);
        }
        let size = match tile {
            Some((width, height)) if is_tiled => (width.min(1 << 20) as u32, height.min(1 << 20) as u32),
            _ => (shape.size.0, rows_per_strip(tags, shape.size.1, offsets.len() / planes)),
        };
        let columns = shape.size.0.div_ceil(size.0) as usize;
        let bands = shape.size.1.div_ceil(size.1) as usize;
        let row_bytes = row_bytes(shape, size.0);
        let chunk_bytes = row_bytes * u64::from(size.1.div_ceil(shape.subsampling.1 as u32));
        let places = places(offsets, counts, shape.compression, chunk_bytes, file_bytes);
        let mut chunks = Self { size, columns, bands, planes, places, row_bytes: row_bytes as usize, is_tiled };
        if shape.compression == compression::NONE && !is_tiled && shape.subsampling == (1, 1) {
            chunks.split(shape.size.1);
        }
        if row_bytes * u64::from(chunks.size.1) > MAX_CHUNK_BYTES {
            let message = "The TIFF image is not divided into strips, and too large to be decoded as a whole.";
            return Err(ImageFault::TooLarge(message.to_owned()));
        }
        Ok(chunks)
    }

    /// Returns position and length of a chunk; `None` if the file does not have it.
    pub(super) fn place(&self, plane: usize, band: usize, column: usize) -> Option<(u64, u64)> {
        self.places.get((plane * self.bands + band) * self.columns + column).copied()
    }

    /// Returns the positions and lengths of all chunks.
    pub(super) fn places(&self) -> &[(u64, u64)] {
        &self.places
    }

    /// Returns the rows of a band of an image of `height`: a strip ends with the image, a tile may not.
    pub(super) fn rows(&self, band: usize, height: u32) -> u32 {
        let first = band as u32 * self.size.1;
        if self.is_tiled { self.size.1 } else { self.size.1.min(height - first) }
    }

    /// Divides strips without compression into smaller ones.
    fn split(&mut self, height: u32) {
        let rows = (PART_BYTES / (self.row_bytes as u64).max(1)).max(1) as u32;
        if rows >= self.size.1 {
            return;
        }
        // Only whole numbers of parts keep the grid regular.
        let rows = (1..=rows).rev().find(|rows| self.size.1.is_multiple_of(*rows)).unwrap_or(1);
        let parts = self.size.1 / rows;
        let part_bytes = u64::from(rows) * self.row_bytes as u64;
        let part = |(at, length): (u64, u64), part: u64| {
            (at + part * part_bytes, length.saturating_sub(part * part_bytes).min(part_bytes))
        };
        let bands = height.div_ceil(rows) as usize;
        let strips = self.places.chunks(self.bands);
        self.places = strips
            .flat_map(|plane| plane.iter().flat_map(|place| (0..u64::from(parts)).map(|n| part(*place, n))).take(bands))
            .collect();
        (self.bands, self.size.1) = (bands, rows);
    }
}

/// Returns the rows of a strip; the whole image if the tag is missing or contradicts the number of strips.
fn rows_per_strip(tags: &Tags, height: u32, strips: usize) -> u32 {
    let stated = tags.number(tag::ROWS_PER_STRIP).and_then(|rows| u32::try_from(rows).ok()).unwrap_or(height);
    let rows = stated.clamp(1, height);
    let even = height.div_ceil(strips.max(1) as u32);
    // More strips than the rows suggest: the number is wrong, and the strips have equal heights.
    if strips > height.div_ceil(rows) as usize {
        even
    } else if strips <= 1 {
        height
    } else {
        rows
    }
}

fn row_bytes(shape: &Shape, width: u32) -> u64 {
    let samples = if shape.is_planar { 1 } else { shape.samples };
    let (horizontal, vertical) = shape.subsampling;
    if (horizontal, vertical) == (1, 1) {
        return (u64::from(width) * samples as u64 * shape.bits as u64).div_ceil(8);
    }
    // A unit has its brightness for each pixel and two colors (TIFF 6.0, section 21).
    u64::from(width).div_ceil(horizontal as u64) * (horizontal * vertical + 2) as u64
}

fn places(offsets: &[u64], counts: &[u64], compression: u64, chunk_bytes: u64, file_bytes: u64) -> Vec<(u64, u64)> {
    let mut sorted = offsets.to_vec();
    sorted.sort_unstable();
    let length = |(index, offset): (usize, &u64)| {
        let next = sorted.get(sorted.partition_point(|other| other <= offset)).copied().unwrap_or(file_bytes);
        let left = file_bytes.saturating_sub(*offset);
        let until_next = next.min(file_bytes).saturating_sub(*offset);
        let stated = counts.get(index).copied().filter(|count| *count > 0 && *count <= left);
        let length = match stated {
            Some(count) if compression == compression::NONE => count.max(chunk_bytes.min(until_next)),
            Some(count) => count,
            None => until_next,
        };
        (*offset, length)
    };
    offsets.iter().enumerate().map(length).collect()
}
