//! Decoding of WebP. What is missing of a truncated image is found by decoding it with two different continuations: the
//! rows that agree do not depend on what is missing.

use std::{fs::File, io::BufReader, io::Cursor, io::Seek};

use image::{ColorType, ImageDecoder, codecs::webp::WebPDecoder};

use super::{exif, source::read_whole};
use crate::{
    DocumentLimits, PageImage,
    image_fault::{DAMAGED, ImageFault},
    pixels::{self, Samples},
    rows::PageRows,
    transparency::Alpha,
};

/// The bytes that continue a truncated file, until two of them give an image: some are no valid code.
const CONTINUATIONS: [u8; 5] = [0, 0xff, 0x55, 0xaa, 0x24];
/// The most rows above a difference that the loop filter and the upsampling of colors may have changed (RFC 6386).
const FILTERED_ROWS: usize = 16;
/// The bytes before the size in the header of the container.
const SIZE_AT: usize = 4;

/// The samples of a decoded image.
struct Decoded {
    size: (u32, u32),
    kind: Samples,
    samples: Vec<u8>,
    exif: Option<Vec<u8>>,
}

pub(super) fn size(file: &File) -> Result<(u32, u32), ImageFault> {
    let mut start = file;
    start.rewind()?;
    if let Ok(decoder) = WebPDecoder::new(BufReader::new(file)) {
        return Ok(decoder.dimensions());
    }
    let continued = continued(read_whole(file)?, CONTINUATIONS[0]).ok_or(DAMAGED)?;
    Ok(WebPDecoder::new(Cursor::new(continued)).map_err(|_| DAMAGED)?.dimensions())
}

pub(super) fn decode(file: &File, limits: &DocumentLimits, alpha: Alpha) -> Result<PageImage, ImageFault> {
    let bytes = read_whole(file)?;
    if let Ok(decoded) = decode_samples(&bytes, limits) {
        return into_page(&decoded, limits, alpha, None);
    }
    let attempt = |byte| decode_samples(&continued(bytes.clone(), byte)?, limits).ok();
    let mut decoded = CONTINUATIONS.into_iter().filter_map(attempt);
    let (Some(first), Some(second)) = (decoded.next(), decoded.next()) else {
        return Err(if continued(bytes, 0).is_some() { ImageFault::Truncated } else { DAMAGED });
    };
    let stride = first.size.0 as usize * first.kind.count();
    let mut rows = first.samples.chunks_exact(stride).zip(second.samples.chunks_exact(stride));
    let equal = rows.position(|(first, second)| first != second).unwrap_or(first.size.1 as usize);
    let certain = equal.saturating_sub(FILTERED_ROWS);
    into_page(&first, limits, alpha, Some(certain))
}

/// Returns a truncated file continued to the size in its header; `None` if it is not truncated.
fn continued(mut bytes: Vec<u8>, byte: u8) -> Option<Vec<u8>> {
    let size = bytes.get(SIZE_AT..SIZE_AT + 4)?.try_into().ok().map(u32::from_le_bytes)?;
    let wanted = size as usize + SIZE_AT + 4;
    // The file is at most a hundred times as long as what is left of it.
    let is_truncated = wanted > bytes.len() && wanted / 100 <= bytes.len();
    is_truncated.then(|| {
        bytes.resize(wanted, byte);
        bytes
    })
}

fn decode_samples(bytes: &[u8], limits: &DocumentLimits) -> Result<Decoded, ImageFault> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(|_| DAMAGED)?;
    let size = decoder.dimensions();
    crate::rows::check_size(size, limits.whole().max_pixels)?;
    let kind = if decoder.color_type() == ColorType::Rgba8 { Samples::RgbAlpha } else { Samples::Rgb };
    let exif = decoder.exif_metadata().ok().flatten();
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut samples).map_err(|_| DAMAGED)?;
    Ok(Decoded { size, kind, samples, exif })
}

/// Returns the page; only the first `certain` rows of a damaged image.
fn into_page(
    decoded: &Decoded,
    limits: &DocumentLimits,
    alpha: Alpha,
    certain: Option<usize>,
) -> Result<PageImage, ImageFault> {
    let mut rows = PageRows::new(decoded.size, 1.0, decoded.kind.channels(alpha), limits)?;
    let mut converted = Vec::new();
    let stride = decoded.size.0 as usize * decoded.kind.count();
    for row in decoded.samples.chunks_exact(stride).take(certain.unwrap_or(usize::MAX)) {
        pixels::convert_row(row, decoded.kind, alpha, &mut converted);
        rows.push(&mut converted);
    }
    rows.finish(exif::orientation(decoded.exif.as_deref()))
}
