//! Decoding of JPEG. A truncated or corrupt image is decoded as far as possible.

use std::fs::File;

use image::metadata::Orientation;
use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::JpegDecoder;

use super::{
    exif, jpeg_frame,
    source::{read_head, read_whole},
};
use crate::{
    DocumentLimits, MAX_WHOLE_PIXELS, PageImage,
    image_fault::{DAMAGED, ImageFault},
    pixels::{self, Samples},
    rows::PageRows,
    transparency::Alpha,
};

/// The most bytes of the headers of a JPEG. A color profile may have 255 segments of 64 KB (ICC.1, annex B.4).
const HEADERS_BYTES: u64 = 17 << 20;
/// The most bytes of memory for decoding: what a child process may use, less its file and the page.
const MAX_MEMORY: u64 = MAX_WHOLE_PIXELS * 3 + (340 << 20);
/// The value with which the decoder fills rows that it cannot decode.
const FILLER: u8 = 128;
/// The most rows that are decoded together: blocks of 8 rows, sampled at half the rate (ITU-T T.81, annex A.2).
const ROWS_PER_UNIT: u32 = 16;

/// The beginning of the marker segment of Adobe's programs, after its length.
const ADOBE: &[u8] = b"\xff\xee\0\x0eAdobe";

/// The decoded samples of a JPEG.
pub(crate) struct JpegSamples {
    /// One or three bytes per pixel.
    pub(crate) samples: Vec<u8>,
    pub(crate) size: (u32, u32),
    pub(crate) color: ColorSpace,
    /// The rows that were decoded, from the top.
    pub(crate) decoded: u32,
    /// Whether all rows lack details, because a progressive image is incomplete.
    pub(crate) is_coarse: bool,
    orientation: Orientation,
}

/// How components of three colors are returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colors {
    /// As red, green and blue, or gray.
    Rgb,
    /// As brightness only, which needs a third of the memory.
    Gray,
    /// As they are stored.
    Stored,
}

/// What must be known about a JPEG that is shown as it is.
pub(crate) struct JpegShape {
    pub(crate) size: (u32, u32),
    pub(crate) components: u8,
    /// From 1 to 8, as in EXIF.
    pub(crate) orientation: u8,
    /// Whether Adobe's programs wrote it, which invert the colors of CMYK.
    pub(crate) is_adobe: bool,
}

/// Reads the headers.
pub(crate) fn shape(file: &File) -> Result<JpegShape, ImageFault> {
    let head = read_head(file, HEADERS_BYTES)?;
    let frame = jpeg_frame::find(&head)?;
    let decoder = decoder(&head, Colors::Rgb, false)?;
    let orientation = exif::orientation(decoder.exif().map(Vec::as_slice)).to_exif();
    let is_adobe = head.windows(ADOBE.len()).any(|bytes| bytes == ADOBE);
    Ok(JpegShape { size: frame.size, components: frame.components, orientation, is_adobe })
}

pub(super) fn size(file: &File) -> Result<(u32, u32), ImageFault> {
    let frame = jpeg_frame::find(&read_head(file, HEADERS_BYTES)?)?;
    colors(&frame)?;
    Ok(frame.size)
}

pub(super) fn decode(file: &File, limits: &DocumentLimits) -> Result<PageImage, ImageFault> {
    let jpeg = read_whole(file)?;
    let frame = jpeg_frame::find(&jpeg)?;
    crate::rows::check_size(frame.size, limits.max_pixels)?;
    let decoded = decode_samples(&jpeg, colors(&frame)?)?;
    let kind = if decoded.color == ColorSpace::Luma { Samples::Gray } else { Samples::Rgb };
    let mut rows = PageRows::new(decoded.size, 1.0, kind.channels(Alpha::Ignored), limits)?;
    let mut converted = Vec::new();
    let stride = decoded.size.0 as usize * kind.count();
    for row in decoded.samples.chunks_exact(stride).take(decoded.decoded as usize) {
        pixels::convert_row(row, kind, Alpha::Ignored, &mut converted);
        rows.push(&mut converted);
    }
    if decoded.is_coarse {
        rows.mark_damaged(0..u32::MAX);
    }
    rows.finish(decoded.orientation)
}

/// Returns the colors for which the memory suffices.
fn colors(frame: &jpeg_frame::JpegFrame) -> Result<Colors, ImageFault> {
    let pixels = u64::from(frame.size.0) * u64::from(frame.size.1);
    let coefficients = if frame.is_progressive { frame.coefficients * 2 } else { 0 };
    let fits = |channels: u64| pixels * channels + coefficients <= MAX_MEMORY;
    match frame.components {
        1 if fits(1) => Ok(Colors::Rgb),
        2.. if fits(3) => Ok(Colors::Rgb),
        // Of the components, only the brightness is decoded.
        3 if fits(1) => Ok(Colors::Gray),
        _ => {
            let (width, height) = frame.size;
            let message = format!("The JPEG image of {width} × {height} pixels needs too much memory.");
            Err(ImageFault::TooLarge(message))
        }
    }
}

/// Decodes a JPEG as far as possible.
///
/// # Errors
/// Fails if no row can be decoded.
pub(crate) fn decode_samples(jpeg: &[u8], colors: Colors) -> Result<JpegSamples, ImageFault> {
    let mut decoder = decoder(jpeg, colors, false)?;
    let orientation = exif::orientation(decoder.exif().map(Vec::as_slice));
    let (width, height) = decoder.dimensions().ok_or(DAMAGED)?;
    let color = decoder.output_colorspace().ok_or(DAMAGED)?;
    let mut samples = vec![0; decoder.output_buffer_size().ok_or(DAMAGED)?];
    decoder.decode_into(&mut samples).map_err(|_| DAMAGED)?;
    let size = (width as u32, height as u32);
    let stride = width * color.num_components();
    let filled = samples.rchunks_exact(stride).take_while(|row| row.iter().all(|byte| *byte == FILLER)).count() as u32;
    let mut result = JpegSamples { samples, size, color, decoded: size.1, is_coarse: false, orientation };
    if (filled > 0 || !jpeg_frame::has_end(jpeg)) && !is_valid(jpeg) {
        let frame = jpeg_frame::find(jpeg)?;
        result.decoded = (size.1 - filled).saturating_sub(if filled > 0 { ROWS_PER_UNIT } else { 0 });
        if filled == 0 && !frame.is_progressive {
            result.decoded = size.1.saturating_sub(ROWS_PER_UNIT);
        }
        result.is_coarse = frame.is_progressive;
        if result.decoded == 0 {
            return Err(ImageFault::Truncated);
        }
    }
    Ok(result)
}

fn decoder(jpeg: &[u8], colors: Colors, is_strict: bool) -> Result<JpegDecoder<ZCursor<&[u8]>>, ImageFault> {
    let options = DecoderOptions::default()
        .set_strict_mode(is_strict)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    decoder.decode_headers().map_err(|_| DAMAGED)?;
    let stored = decoder.input_colorspace().ok_or(DAMAGED)?;
    let color = match (colors, stored) {
        (_, ColorSpace::Luma) | (Colors::Gray, _) => ColorSpace::Luma,
        (Colors::Stored, stored) => stored,
        (Colors::Rgb, _) => ColorSpace::RGB,
    };
    decoder.set_options(options.jpeg_set_out_colorspace(color));
    Ok(decoder)
}

/// Returns whether the image can be decoded without an error. Only the brightness is decoded, to save memory.
fn is_valid(jpeg: &[u8]) -> bool {
    let Ok(mut decoder) = decoder(jpeg, Colors::Gray, true) else { return false };
    let mut samples = vec![0; decoder.output_buffer_size().unwrap_or(0)];
    decoder.decode_into(&mut samples).is_ok()
}
