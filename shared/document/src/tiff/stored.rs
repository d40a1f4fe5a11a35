//! Images of one bit per pixel in a form that PDF can contain: their fax data as it is, or their rows compressed.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom, Write},
};

use flate2::{Compression, write::ZlibEncoder};
use hayro_ccitt::EncodingMode;

use super::{
    chunks::Chunks,
    codec::Codec,
    directory::{Directory, TiffLayout},
    shape::{Photometric, Shape},
    tags::{Tags, tag},
};
use crate::{
    pdf::{BodyPart, Span},
    stored_image::{StoredCoding, StoredColors, StoredImage, StoredStrip},
};

/// The most strips of an image that are kept as they are: each is an image of its own in a PDF.
const MAX_STRIPS: usize = 64;
/// PNG's filter that changes nothing.
const NO_FILTER: u8 = 0;

/// Returns the image of a directory if it has one bit per pixel, in strips. `page_size` is that of the decoded page.
pub(super) fn fax_image(
    file: &File,
    layout: TiffLayout,
    directory: &Directory,
    page_size: (u32, u32),
) -> Option<StoredImage> {
    let file_bytes = file.metadata().ok()?.len();
    let mut reader = BufReader::new(file);
    let tags = Tags::read(&mut reader, layout, directory.offset).ok()?;
    let shape = Shape::of(&tags).ok()?;
    let is_white_zero = match shape.photometric {
        Photometric::WhiteIsZero => true,
        Photometric::BlackIsZero => false,
        _ => return None,
    };
    if shape.bits != 1 || shape.samples != 1 || tags.number(tag::TILE_WIDTH).is_some() {
        return None;
    }
    let chunks = Chunks::of(&tags, &shape, file_bytes).ok()?;
    let codec = Codec::of(shape.compression, tags.number_or(tag::T4_OPTIONS, 0)).ok()?;
    let mut stored = StoredImage {
        width: shape.size.0,
        height: shape.size.1,
        page_width: page_size.0,
        page_height: page_size.1,
        orientation: tags.number(tag::ORIENTATION).and_then(|value| value.try_into().ok()).unwrap_or(1),
        bits: 1,
        colors: StoredColors::Gray { is_inverted: is_white_zero },
        strips: Vec::new(),
        bytes: Vec::new(),
    };
    match codec {
        Codec::Fax { encoding, is_byte_aligned } if chunks.bands <= MAX_STRIPS => {
            let coding = StoredCoding::Fax { k: fax_parameter(encoding), is_byte_aligned };
            for band in 0..chunks.bands {
                let data = strip_data(&mut reader, &chunks, band, &shape, &mut stored.bytes)?;
                stored.strips.push(StoredStrip { rows: chunks.rows(band, shape.size.1), coding, data });
            }
        }
        codec => stored.strips.push(compressed_rows(&mut reader, &chunks, codec, &shape, &mut stored.bytes)?),
    }
    Some(stored)
}

/// Returns the parameter `K` of PDF (ISO 32000-1, table 11).
const fn fax_parameter(encoding: EncodingMode) -> i8 {
    match encoding {
        EncodingMode::Group4 => -1,
        EncodingMode::Group3_1D => 0,
        EncodingMode::Group3_2D => 4,
    }
}

/// Returns the data of a strip: that of the file, unless the order of its bits must be reversed.
fn strip_data(
    reader: &mut BufReader<&File>,
    chunks: &Chunks,
    band: usize,
    shape: &Shape,
    bytes: &mut Vec<u8>,
) -> Option<Vec<BodyPart>> {
    let (start, length) = chunks.place(0, band, 0)?;
    if !shape.is_fill_order_reversed {
        return Some(vec![BodyPart::Source(Span { start, bytes: length })]);
    }
    let at = bytes.len();
    reader.seek(SeekFrom::Start(start)).ok()?;
    reader.take(length).read_to_end(bytes).ok()?;
    for byte in &mut bytes[at..] {
        *byte = byte.reverse_bits();
    }
    Some(vec![BodyPart::Copy(Span { start: at as u64, bytes: (bytes.len() - at) as u64 })])
}

/// Decompresses the rows of all strips, and compresses them as PNG does.
fn compressed_rows(
    reader: &mut BufReader<&File>,
    chunks: &Chunks,
    codec: Codec,
    shape: &Shape,
    bytes: &mut Vec<u8>,
) -> Option<StoredStrip> {
    let (width, height) = shape.size;
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    for band in 0..chunks.bands {
        let (start, length) = chunks.place(0, band, 0)?;
        let mut data = Vec::new();
        reader.seek(SeekFrom::Start(start)).ok()?;
        reader.take(length).read_to_end(&mut data).ok()?;
        let rows = chunks.rows(band, height);
        let data = codec.decompress(data, shape, width, rows, chunks.row_bytes);
        for row in data.get(..chunks.row_bytes * rows as usize)?.chunks(chunks.row_bytes) {
            encoder.write_all(&[NO_FILTER]).and_then(|()| encoder.write_all(row)).ok()?;
        }
    }
    *bytes = encoder.finish().ok()?;
    let data = vec![BodyPart::Copy(Span { start: 0, bytes: bytes.len() as u64 })];
    Some(StoredStrip { rows: height, coding: StoredCoding::Png, data })
}
