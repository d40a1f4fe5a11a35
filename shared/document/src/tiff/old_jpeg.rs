//! JPEG as TIFF 6.0, section 22, defined it (compression 6), before a later note replaced it: the parts of a JPEG are
//! scattered over the file. They are put together to one that a decoder can read.

use std::io::{self, Read, Seek, SeekFrom};

use super::{
    chunks::Chunks,
    shape::Shape,
    tags::{Tags, tag},
};
use crate::image_fault::{DAMAGED, ImageFault};

const START_OF_IMAGE: [u8; 2] = [0xff, 0xd8];
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];
const START_OF_SCAN: [u8; 2] = [0xff, 0xda];
/// Bytes of a table of quantization, one for each coefficient.
const QUANTIZATION_BYTES: usize = 64;
/// Bytes before the values of a Huffman table: the number of codes of each length.
const HUFFMAN_COUNTS: usize = 16;

/// Returns the image as one JPEG; `None` if each strip is a complete JPEG.
///
/// # Errors
/// Fails if the parts are missing.
pub(super) fn assemble(
    file: &mut (impl Read + Seek),
    tags: &Tags,
    shape: &Shape,
    chunks: &Chunks,
) -> Result<Option<Vec<u8>>, ImageFault> {
    let mut strips = Vec::new();
    for (at, length) in chunks.places() {
        strips.push(read(file, *at, *length)?);
    }
    if let Some(start) = tags.number(tag::JPEG_STREAM).filter(|start| *start > 0) {
        let length = tags.number(tag::JPEG_STREAM_BYTES).filter(|length| *length > 0).unwrap_or(u64::MAX);
        let mut stream = read(file, start, length)?;
        if stream.starts_with(&START_OF_IMAGE) {
            let has_scan = stream.windows(2).any(|marker| marker == START_OF_SCAN);
            let is_inside = |(at, _): &(u64, u64)| (start..start.saturating_add(length)).contains(at);
            if !has_scan || !chunks.places().iter().any(is_inside) {
                if stream.ends_with(&END_OF_IMAGE) {
                    stream.truncate(stream.len() - END_OF_IMAGE.len());
                }
                stream.extend(strips.concat());
            }
            return Ok(Some(stream));
        }
    }
    if strips.iter().any(|strip| strip.starts_with(&START_OF_IMAGE)) {
        return Ok(None);
    }
    from_tables(file, tags, shape, &strips, chunks.size.1).map(Some)
}

/// Reads up to `length` bytes.
fn read(file: &mut (impl Read + Seek), at: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes the headers of a JPEG (ITU-T T.81, annex B) from the tables in the file.
fn from_tables(
    file: &mut (impl Read + Seek),
    tags: &Tags,
    shape: &Shape,
    strips: &[Vec<u8>],
    strip_rows: u32,
) -> Result<Vec<u8>, ImageFault> {
    let components = shape.samples.min(3);
    let factors = match *tags.numbers(tag::SUBSAMPLING) {
        [horizontal @ 1..=4, vertical @ 1..=4, ..] if components == 3 => (horizontal as u8, vertical as u8),
        _ if components == 3 => (2, 2),
        _ => (1, 1),
    };
    let mut jpeg = START_OF_IMAGE.to_vec();
    for id in 0..components {
        let offset = |tag| tags.numbers(tag).get(id).copied().ok_or(DAMAGED);
        let quantization = read(file, offset(tag::JPEG_QUANTIZATION_TABLES)?, QUANTIZATION_BYTES as u64)?;
        segment(&mut jpeg, 0xdb, &[&[id as u8], quantization.as_slice()]);
        for (class, tables) in [(0, tag::JPEG_DC_TABLES), (0x10, tag::JPEG_AC_TABLES)] {
            let mut table = read(file, offset(tables)?, HUFFMAN_COUNTS as u64 + 256)?;
            let counts = table.get(..HUFFMAN_COUNTS).ok_or(DAMAGED)?;
            let values: usize = counts.iter().map(|count| usize::from(*count)).sum();
            table.truncate(HUFFMAN_COUNTS + values);
            segment(&mut jpeg, 0xc4, &[&[class | id as u8], &table]);
        }
    }
    let side = |side: u32| (side.min(u32::from(u16::MAX)) as u16).to_be_bytes();
    let of_component = |id: usize| {
        let (horizontal, vertical) = if id == 0 { factors } else { (1, 1) };
        [id as u8 + 1, horizontal << 4 | vertical, id as u8]
    };
    let parameters: Vec<u8> = (0..components).flat_map(of_component).collect();
    segment(&mut jpeg, 0xc0, &[&[8], &side(shape.size.1), &side(shape.size.0), &[components as u8], &parameters]);
    let unit = |side: u32, factor: u8| side.div_ceil(8 * u32::from(factor));
    let interval = match tags.number(tag::JPEG_RESTART_INTERVAL) {
        Some(interval) if interval > 0 => interval as u32,
        _ => unit(shape.size.0, factors.0) * unit(strip_rows, factors.1),
    };
    segment(&mut jpeg, 0xdd, &[&(interval as u16).to_be_bytes()]);
    let selectors: Vec<u8> = (0..components as u8).flat_map(|id| [id + 1, id << 4 | id]).collect();
    segment(&mut jpeg, START_OF_SCAN[1], &[&[components as u8], &selectors, &[0, 63, 0]]);
    for (number, strip) in strips.iter().enumerate() {
        jpeg.extend(strip);
        if number + 1 < strips.len() && !ends_with_restart(strip) {
            jpeg.extend([0xff, 0xd0 + (number % 8) as u8]);
        }
    }
    jpeg.extend(END_OF_IMAGE);
    Ok(jpeg)
}

fn ends_with_restart(strip: &[u8]) -> bool {
    matches!(strip, [.., 0xff, 0xd0..=0xd7])
}

/// Appends a marker and its segment.
fn segment(jpeg: &mut Vec<u8>, marker: u8, parts: &[&[u8]]) {
    let length = 2 + parts.iter().map(|part| part.len()).sum::<usize>();
    jpeg.extend([0xff, marker]);
    jpeg.extend((length as u16).to_be_bytes());
    jpeg.extend(parts.concat());
}
