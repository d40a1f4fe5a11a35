//! Images of one bit per pixel in a form that PDF can contain: their fax data as it is, or their rows encoded again.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom, Write},
};

use fax::{Color, VecWriter, encoder::Encoder};
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
    let strip = match codec {
        // Several strips would be several images, which viewers draw with seams.
        Codec::Fax { encoding, is_byte_aligned } if chunks.bands == 1 => {
            let coding = StoredCoding::Fax { k: fax_parameter(encoding), is_byte_aligned };
            let data = strip_data(&mut reader, &chunks, &shape, &mut stored.bytes)?;
            StoredStrip { rows: shape.size.1, coding, data }
        }
        codec => encoded_rows(&rows(&mut reader, &chunks, codec, &shape)?, &chunks, &shape, &mut stored.bytes)?,
    };
    stored.strips.push(strip);
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

/// Returns the data of the only strip: that of the file, unless the order of its bits must be reversed.
fn strip_data(
    reader: &mut BufReader<&File>,
    chunks: &Chunks,
    shape: &Shape,
    bytes: &mut Vec<u8>,
) -> Option<Vec<BodyPart>> {
    let (start, length) = chunks.place(0, 0, 0)?;
    if !shape.is_fill_order_reversed {
        return Some(vec![BodyPart::Source(Span { start, bytes: length })]);
    }
    reader.seek(SeekFrom::Start(start)).ok()?;
    reader.take(length).read_to_end(bytes).ok()?;
    for byte in bytes.iter_mut() {
        *byte = byte.reverse_bits();
    }
    Some(vec![BodyPart::Copy(Span { start: 0, bytes: bytes.len() as u64 })])
}

/// Decompresses the rows of all strips.
fn rows(reader: &mut BufReader<&File>, chunks: &Chunks, codec: Codec, shape: &Shape) -> Option<Vec<u8>> {
    let (width, height) = shape.size;
    let mut all = Vec::new();
    for band in 0..chunks.bands {
        let (start, length) = chunks.place(0, band, 0)?;
        let mut data = Vec::new();
        reader.seek(SeekFrom::Start(start)).ok()?;
        reader.take(length).read_to_end(&mut data).ok()?;
        let rows = chunks.rows(band, height);
        let data = codec.decompress(data, shape, width, rows, chunks.row_bytes);
        all.extend_from_slice(data.get(..chunks.row_bytes * rows as usize)?);
    }
    Some(all)
}

/// Encodes rows without loss: as fax, or compressed as PNG does, whichever is smaller.
fn encoded_rows(rows: &[u8], chunks: &Chunks, shape: &Shape, bytes: &mut Vec<u8>) -> Option<StoredStrip> {
    let (width, height) = shape.size;
    let fax = fax_rows(rows, chunks.row_bytes, u16::try_from(width).ok()?)?;
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    for row in rows.chunks(chunks.row_bytes) {
        encoder.write_all(&[NO_FILTER]).and_then(|()| encoder.write_all(row)).ok()?;
    }
    let compressed = encoder.finish().ok()?;
    let coding;
    (coding, *bytes) = if fax.len() <= compressed.len() {
        (StoredCoding::Fax { k: fax_parameter(EncodingMode::Group4), is_byte_aligned: false }, fax)
    } else {
        (StoredCoding::Png, compressed)
    };
    let data = vec![BodyPart::Copy(Span { start: 0, bytes: bytes.len() as u64 })];
    Some(StoredStrip { rows: height, coding, data })
}

/// Encodes rows as fax of group 4; 1 is black.
fn fax_rows(rows: &[u8], row_bytes: usize, width: u16) -> Option<Vec<u8>> {
    let mut encoder = Encoder::new(VecWriter::new());
    for row in rows.chunks(row_bytes) {
        let color = |x: u16| {
            let is_black = row[usize::from(x) / 8] << (x % 8) & 0x80 != 0;
            if is_black { Color::Black } else { Color::White }
        };
        encoder.encode_line((0..width).map(color), width).ok()?;
    }
    Some(encoder.finish().ok()?.finish())
}
