//! Finds the image data of PNG, which PDF can contain as it is (PNG, section 11; ISO 32000-1, 7.4.4.4).

use std::{
    fs::File,
    io::{Read, Seek},
};

use crate::{
    pdf::{BodyPart, Span},
    stored_image::{StoredCoding, StoredColors, StoredImage, StoredStrip},
};

const SIGNATURE_BYTES: usize = 8;
/// Bytes of a chunk's length and type.
const HEAD_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 4;

/// A chunk.
struct Chunk<'a> {
    kind: &'a [u8],
    data: &'a [u8],
    span: Span,
}

/// Returns the image if a PDF can contain its data: neither interlaced nor transparent, and not rotated.
pub(super) fn stored(mut file: &File, (page_width, page_height): (u32, u32)) -> Option<StoredImage> {
    let mut png = Vec::new();
    file.rewind().ok()?;
    file.read_to_end(&mut png).ok()?;
    let chunks = chunks(&png);
    let header = chunks.first().filter(|chunk| chunk.kind == b"IHDR")?.data;
    let &[w1, w2, w3, w4, h1, h2, h3, h4, bits, color_type, _, _, interlaced] = header else { return None };
    let has = |kind: &[u8]| chunks.iter().any(|chunk| chunk.kind == kind);
    if interlaced != 0 || has(b"tRNS") || has(b"eXIf") {
        return None;
    }
    let colors = match color_type {
        0 => StoredColors::Gray { is_inverted: false },
        2 => StoredColors::Rgb,
        3 => {
            let palette = chunks.iter().find(|chunk| chunk.kind == b"PLTE")?.data;
            StoredColors::Palette(palette.as_chunks::<3>().0.to_vec())
        }
        _ => return None,
    };
    let height = u32::from_be_bytes([h1, h2, h3, h4]);
    let data = chunks.iter().filter(|chunk| chunk.kind == b"IDAT").map(|chunk| BodyPart::Source(chunk.span)).collect();
    Some(StoredImage {
        width: u32::from_be_bytes([w1, w2, w3, w4]),
        height,
        page_width,
        page_height,
        orientation: 1,
        bits,
        colors,
        strips: vec![StoredStrip { rows: height, coding: StoredCoding::Png, data }],
        bytes: Vec::new(),
    })
}

/// Returns where the image data of a PNG is.
pub(super) fn image_data(png: &[u8]) -> Vec<Span> {
    chunks(png).iter().filter(|chunk| chunk.kind == b"IDAT").map(|chunk| chunk.span).collect()
}

fn chunks(png: &[u8]) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let mut at = SIGNATURE_BYTES;
    while let Some(&[l1, l2, l3, l4, ref kind @ ..]) = png.get(at..at + HEAD_BYTES) {
        let start = at + HEAD_BYTES;
        let bytes = u32::from_be_bytes([l1, l2, l3, l4]);
        let Some(data) = png.get(start..start + bytes as usize) else { break };
        chunks.push(Chunk { kind, data, span: Span { start: start as u64, bytes: u64::from(bytes) } });
        at = start + bytes as usize + CHECKSUM_BYTES;
    }
    chunks
}
