//! Decoding of Windows bitmaps.

use std::{fs::File, io::Cursor};

use image::{ColorType, ImageDecoder, codecs::bmp::BmpDecoder, metadata::Orientation};

use super::source::{read_head, read_whole};
use crate::{
    DocumentLimits, PageImage,
    image_fault::{DAMAGED, ImageFault},
    pixels::{self, Samples},
    rows::{PageRows, check_size},
    transparency::Alpha,
};

/// The most bytes before the pixels: two headers, the masks and a palette.
const HEADERS_BYTES: u64 = 64 << 10;

/// The header of a bitmap that is stored without compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Uncompressed {
    pixels_at: usize,
    row_bytes: usize,
    rows: usize,
    /// Usually the last row is the first in the file.
    is_from_top: bool,
}

pub(super) fn size(file: &File) -> Result<(u32, u32), ImageFault> {
    let head = read_head(file, HEADERS_BYTES)?;
    let decoder = BmpDecoder::new(Cursor::new(head)).map_err(|_| DAMAGED)?;
    Ok(decoder.dimensions())
}

pub(super) fn decode(file: &File, limits: &DocumentLimits, alpha: Alpha) -> Result<PageImage, ImageFault> {
    let mut bytes = read_whole(file)?;
    check_size(size(file)?, limits.whole().max_pixels)?;
    let missing = complete(&mut bytes);
    let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(|_| DAMAGED)?;
    let size = decoder.dimensions();
    let kind = match decoder.color_type() {
        ColorType::Rgb8 => Samples::Rgb,
        ColorType::Rgba8 => Samples::RgbAlpha,
        ColorType::L8 => Samples::Gray,
        _ => return Err(DAMAGED),
    };
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut samples).map_err(|_| DAMAGED)?;
    let mut rows = PageRows::new(size, 1.0, kind.channels(alpha), limits)?;
    let mut converted = Vec::new();
    for (y, row) in samples.chunks_exact(size.0 as usize * kind.count()).enumerate() {
        if missing.contains(&y) {
            rows.push_missing(1);
            continue;
        }
        pixels::convert_row(row, kind, alpha, &mut converted);
        rows.push(&mut converted);
    }
    rows.finish(Orientation::NoTransforms)
}

/// Extends a truncated, uncompressed bitmap with zeros, which its decoder needs; returns the rows that are missing.
fn complete(bytes: &mut Vec<u8>) -> std::ops::Range<usize> {
    let Some(bitmap) = uncompressed(bytes) else { return 0..0 };
    let wanted = bitmap.pixels_at + bitmap.row_bytes * bitmap.rows;
    let present = (bytes.len().saturating_sub(bitmap.pixels_at) / bitmap.row_bytes).min(bitmap.rows);
    if present == 0 || present == bitmap.rows {
        return 0..0;
    }
    bytes.resize(wanted, 0);
    if bitmap.is_from_top { present..bitmap.rows } else { 0..bitmap.rows - present }
}

fn uncompressed(bytes: &[u8]) -> Option<Uncompressed> {
    let number = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let short = |at: usize| bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes);
    // The first version of the header has other fields and no compression.
    let is_first = number(14)? == 12;
    let (width, height, bits) = if is_first {
        (u32::from(short(18)?), i32::from(short(20)?), short(24)?)
    } else {
        (number(18)?, number(22)? as i32, short(28)?)
    };
    // Without compression, or with masks for the colors.
    if !is_first && !matches!(number(30)?, 0 | 3 | 6) {
        return None;
    }
    let row_bytes = (width as usize).checked_mul(usize::from(bits))?.div_ceil(32) * 4;
    let rows = height.unsigned_abs() as usize;
    let is_plausible = row_bytes > 0 && row_bytes.checked_mul(rows)? < 1 << 32;
    is_plausible.then(|| Uncompressed {
        pixels_at: number(10).unwrap_or(0) as usize,
        row_bytes,
        rows,
        is_from_top: height < 0,
    })
}
