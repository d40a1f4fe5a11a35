//! Encodes a decoded image without loss.

use std::collections::{BTreeSet, HashMap};

use png::{BitDepth, ColorType, Compression, Encoder, Filter};

use super::png_file;
use crate::{
    PageImage,
    pdf::{BodyPart, Span},
    stored_image::{StoredCoding, StoredColors, StoredImage, StoredStrip},
};

/// The most colors of a palette.
const MAX_COLORS: usize = 256;

/// An image's samples, as PNG stores them.
struct Samples {
    colors: StoredColors,
    color_type: ColorType,
    depth: BitDepth,
    bytes: Vec<u8>,
}

/// Returns the image in the smallest form of its samples: bits, indices of a palette, gray or RGB.
pub(super) fn encode(image: &PageImage) -> Option<StoredImage> {
    let samples = samples(image);
    let (width, height) = (image.width(), image.height());
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width, height);
    encoder.set_color(samples.color_type);
    encoder.set_depth(samples.depth);
    encoder.set_compression(Compression::High);
    // Differences of neighbors mean nothing for indices and bits.
    let is_continuous = matches!(samples.colors, StoredColors::Rgb) || samples.depth == BitDepth::Eight;
    let is_palette = matches!(samples.colors, StoredColors::Palette(_));
    encoder.set_filter(if is_continuous && !is_palette { Filter::Adaptive } else { Filter::NoFilter });
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&samples.bytes).ok()?;
    writer.finish().ok()?;
    let bytes: Vec<u8> = png_file::image_data(&file).iter().flat_map(|span| span.of(&file)).copied().collect();
    let data = vec![BodyPart::Copy(Span { start: 0, bytes: bytes.len() as u64 })];
    Some(StoredImage {
        width,
        height,
        page_width: width,
        page_height: height,
        orientation: 1,
        bits: samples.depth as u8,
        colors: samples.colors,
        strips: vec![StoredStrip { rows: height, coding: StoredCoding::Png, data }],
        bytes,
    })
}

fn samples(image: &PageImage) -> Samples {
    let pixels = image.pixels().as_chunks::<{ PageImage::CHANNELS }>().0;
    let gray = StoredColors::Gray { is_inverted: false };
    if pixels.iter().all(|[blue, green, red]| blue == green && green == red) {
        if pixels.iter().all(|[value, ..]| matches!(value, 0 | 255)) {
            let bytes = pack(pixels.iter().map(|[value, ..]| value & 1), image.width() as usize, 1);
            return Samples { colors: gray, color_type: ColorType::Grayscale, depth: BitDepth::One, bytes };
        }
        let bytes = pixels.iter().map(|[value, ..]| *value).collect();
        return Samples { colors: gray, color_type: ColorType::Grayscale, depth: BitDepth::Eight, bytes };
    }
    let Some(palette) = palette(pixels) else {
        let bytes = pixels.iter().flat_map(|[blue, green, red]| [*red, *green, *blue]).collect();
        return Samples { colors: StoredColors::Rgb, color_type: ColorType::Rgb, depth: BitDepth::Eight, bytes };
    };
    let (bits, depth) = match palette.len() {
        ..=2 => (1, BitDepth::One),
        3..=4 => (2, BitDepth::Two),
        5..=16 => (4, BitDepth::Four),
        _ => (8, BitDepth::Eight),
    };
    let indices: HashMap<[u8; 3], u8> = palette.iter().copied().zip(0..=255).collect();
    let bytes = pack(pixels.iter().map(|[b, g, r]| indices[&[*r, *g, *b]]), image.width() as usize, bits);
    Samples { colors: StoredColors::Palette(palette), color_type: ColorType::Grayscale, depth, bytes }
}

/// Returns the colors of an image that has few.
fn palette(pixels: &[[u8; 3]]) -> Option<Vec<[u8; 3]>> {
    let mut colors = BTreeSet::new();
    let mut last = None;
    for pixel in pixels {
        if last == Some(pixel) {
            continue;
        }
        last = Some(pixel);
        let [blue, green, red] = *pixel;
        colors.insert([red, green, blue]);
        if colors.len() > MAX_COLORS {
            return None;
        }
    }
    Some(colors.into_iter().collect())
}

/// Packs samples of a few bits into rows of whole bytes.
fn pack(samples: impl Iterator<Item = u8>, width: usize, bits: usize) -> Vec<u8> {
    let samples: Vec<u8> = samples.collect();
    let mut bytes = Vec::with_capacity(samples.len() * bits / 8 + samples.len() / width);
    for row in samples.chunks(width) {
        for group in row.chunks(8 / bits) {
            let places = group.iter().enumerate();
            bytes.push(places.fold(0, |byte, (place, sample)| byte | sample << (8 - bits * (place + 1))));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_form_of_the_samples_is_used() {
        let of = |pixels: &[[u8; 3]]| {
            let bytes: Vec<u8> = pixels.iter().cycle().take(64 * 4).flatten().copied().collect();
            let stored = encode(&PageImage::new(64, 4, bytes)).expect("encodes");
            (stored.colors, stored.bits)
        };
        let gray = StoredColors::Gray { is_inverted: false };
        assert_eq!(of(&[[0; 3], [255; 3]]), (gray.clone(), 1));
        assert_eq!(of(&[[0; 3], [7; 3]]), (gray, 8));
        assert_eq!(of(&[[1, 2, 3], [4, 5, 6], [7, 8, 9]]).1, 2);
        let many: Vec<[u8; 3]> = (0..=255).map(|value| [value, 0, 1]).chain([[0, 1, 2]]).collect();
        let bytes: Vec<u8> = many.iter().flatten().copied().collect();
        let stored = encode(&PageImage::new(257, 1, bytes)).expect("encodes");
        assert_eq!((stored.colors, stored.bits), (StoredColors::Rgb, 8));
    }

    #[test]
    fn rows_begin_at_bytes() {
        assert_eq!(pack([1, 0, 1, 1, 1, 1, 0, 0, 1, 1].into_iter(), 5, 1), [0b1011_1000, 0b1001_1000]);
        assert_eq!(pack([1, 2, 3].into_iter(), 3, 4), [0x12, 0x30]);
    }
}
