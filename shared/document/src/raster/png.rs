//! Decoding of PNG, row by row.

use std::{
    fs::File,
    io::{BufReader, Seek},
};

use image::metadata::Orientation;
use png::{BitDepth, ColorType, DecodeOptions, Decoder, DecodingError, InterlaceInfo, Reader, Transformations};

use super::{exif, png_checksums};
use crate::{
    DocumentLimits, PageImage,
    image_fault::{DAMAGED, ImageFault},
    pixels::{self, Samples},
    rows::PageRows,
    transparency::Alpha,
};

type PngReader<'a> = Reader<BufReader<&'a File>>;

/// First column and row, and their distances, of the passes of an interlaced image before the last one, which adds the
/// odd rows (PNG, section 8.2).
const FIRST_PASSES: [[u32; 4]; 6] =
    [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2]];

pub(super) fn size(file: &File) -> Result<(u32, u32), ImageFault> {
    let reader = open(file, false)?;
    Ok(reader.info().size())
}

pub(super) fn decode(file: &File, limits: &DocumentLimits, alpha: Alpha) -> Result<PageImage, ImageFault> {
    let first = decode_rows(file, limits, alpha, false)?;
    if first.is_complete {
        return first.rows.finish(first.orientation);
    }
    // The checksum over all data differs, or the data ends: without the checksum there may be more rows.
    let mut second = decode_rows(file, limits, alpha, true)?;
    if second.is_complete && png_checksums::has_wrong_one(file)? {
        second.rows.mark_damaged(0..u32::MAX);
    }
    second.rows.finish(second.orientation)
}

/// The rows that were decoded.
struct Decoded {
    rows: PageRows,
    orientation: Orientation,
    is_complete: bool,
}

fn open(file: &File, ignores_checksums: bool) -> Result<PngReader<'_>, ImageFault> {
    let mut start = file;
    start.rewind()?;
    let mut options = DecodeOptions::default();
    options.set_ignore_crc(true);
    options.set_ignore_adler32(ignores_checksums);
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    let mut decoder = Decoder::new_with_options(BufReader::new(file), options);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.read_info().map_err(|error| fault(&error))
}

fn decode_rows(
    file: &File,
    limits: &DocumentLimits,
    alpha: Alpha,
    ignores_checksums: bool,
) -> Result<Decoded, ImageFault> {
    let mut reader = open(file, ignores_checksums)?;
    let kind = match reader.output_color_type() {
        (ColorType::Grayscale, BitDepth::Eight) => Samples::Gray,
        (ColorType::GrayscaleAlpha, BitDepth::Eight) => Samples::GrayAlpha,
        (ColorType::Rgb, BitDepth::Eight) => Samples::Rgb,
        (ColorType::Rgba, BitDepth::Eight) => Samples::RgbAlpha,
        _ => return Err(DAMAGED),
    };
    let size = reader.info().size();
    let is_interlaced = reader.info().interlaced;
    let limits = if is_interlaced { limits.whole() } else { *limits };
    let mut rows = PageRows::new(size, 1.0, kind.channels(alpha), &limits)?;
    let is_complete = if is_interlaced {
        interlaced_rows(&mut reader, kind, alpha, &mut rows)
    } else {
        plain_rows(&mut reader, kind, alpha, &mut rows)
    };
    let orientation = exif::orientation(reader.info().exif_metadata.as_deref());
    Ok(Decoded { rows, orientation, is_complete })
}

/// Decodes rows until the end or an error; returns whether all were decoded.
fn plain_rows(reader: &mut PngReader<'_>, kind: Samples, alpha: Alpha, rows: &mut PageRows) -> bool {
    let mut converted = Vec::new();
    loop {
        match reader.next_row() {
            Ok(Some(row)) => {
                pixels::convert_row(row.data(), kind, alpha, &mut converted);
                rows.push(&mut converted);
            }
            Ok(None) => return true,
            Err(_) => return false,
        }
        if rows.pushed() == reader.info().height {
            return true;
        }
    }
}

/// Decodes an interlaced image as a whole; returns whether all rows were decoded.
fn interlaced_rows(reader: &mut PngReader<'_>, kind: Samples, alpha: Alpha, rows: &mut PageRows) -> bool {
    let (width, height) = reader.info().size();
    let samples = kind.count();
    let stride = width as usize * samples;
    let mut image = vec![255; stride * height as usize];
    let mut decoded: u32 = 0;
    let ended = loop {
        match reader.next_interlaced_row() {
            Ok(Some(row)) => {
                let InterlaceInfo::Adam7(info) = row.interlace() else { break true };
                png::expand_interlaced_row(&mut image, stride, row.data(), info, samples as u8 * 8);
                decoded += 1;
            }
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    if decoded == 0 && !ended {
        return false;
    }
    let mut converted = Vec::new();
    for row in image.chunks_exact(stride) {
        pixels::convert_row(row, kind, alpha, &mut converted);
        rows.push(&mut converted);
    }
    if !ended {
        let complete = decoded.checked_sub(rows_of_first_passes(width, height)).map_or(0, |odd| 2 * odd + 1);
        rows.mark_damaged(complete..height);
    }
    ended
}

fn rows_of_first_passes(width: u32, height: u32) -> u32 {
    let rows = |&[x, y, _, distance]: &[u32; 4]| {
        if x < width { height.saturating_sub(y).div_ceil(distance) } else { 0 }
    };
    FIRST_PASSES.iter().map(rows).sum()
}

fn fault(error: &DecodingError) -> ImageFault {
    match error {
        DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => ImageFault::Truncated,
        DecodingError::LimitsExceeded => ImageFault::TooLarge("The image has rows that are too long.".to_owned()),
        _ => DAMAGED,
    }
}
