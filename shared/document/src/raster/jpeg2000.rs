//! Decoding of JPEG 2000. The format stores each image at several resolutions: a large one is decoded at a lower one.

use std::fs::File;

use hayro_jpeg2000::{ColorSpace, DecodeError, DecodeSettings, DecoderContext, Image};
use image::metadata::Orientation;

use super::source::read_whole;
use crate::{
    DocumentLimits, PageImage,
    downscale::downscaled_size,
    image_fault::{DAMAGED, ImageFault},
    pixels::{self, Samples},
    rows::{PageRows, check_size},
    transparency::Alpha,
};

/// The most pixels of an image at its own resolution.
const MAX_PIXELS: u64 = 400_000_000;
/// The most pixels of a decoded image: each sample takes 4 bytes and more while it is decoded.
const MAX_DECODED_PIXELS: u64 = 32_000_000;
/// The marker at the end (ITU-T T.800, annex A.4.4).
const END_OF_CODESTREAM: [u8; 2] = [0xff, 0xd9];

pub(super) fn size(file: &File) -> Result<(u32, u32), ImageFault> {
    let bytes = read_whole(file)?;
    let image = Image::new(&bytes, &DecodeSettings::default()).map_err(|error| fault(&error))?;
    let size = (image.width(), image.height());
    check_size(size, MAX_PIXELS)?;
    Ok(size)
}

pub(super) fn decode(file: &File, limits: &DocumentLimits, alpha: Alpha) -> Result<PageImage, ImageFault> {
    let page_size = size(file)?;
    check_size(page_size, limits.max_pixels)?;
    let bytes = read_whole(file)?;
    let target_resolution = (downscaled_size(page_size) != page_size).then(|| downscaled_size(page_size));
    let settings = DecodeSettings { target_resolution, ..DecodeSettings::default() };
    let image = Image::new(&bytes, &settings).map_err(|error| fault(&error))?;
    let size = (image.width(), image.height());
    check_size(size, MAX_DECODED_PIXELS)?;
    let kind = samples(&image)?;
    let mut context = DecoderContext::default();
    let samples = image.decode(&mut context).map_err(|error| fault(&error))?.data_u8();
    if samples.len() != size.0 as usize * size.1 as usize * kind.count() {
        return Err(ImageFault::unsupported("JPEG 2000 images with subsampled colors"));
    }
    let mut rows = PageRows::new(size, 1.0, kind.channels(alpha), limits)?;
    let mut converted = Vec::new();
    for row in samples.chunks_exact(size.0 as usize * kind.count()) {
        pixels::convert_row(row, kind, alpha, &mut converted);
        rows.push(&mut converted);
    }
    // The decoder fills up with what it has; details are missing everywhere or in the last tiles.
    if !bytes.windows(2).rev().take(64 << 10).any(|marker| marker == END_OF_CODESTREAM) {
        rows.mark_damaged(0..u32::MAX);
    }
    Ok(rows.finish(Orientation::NoTransforms)?.of_page(page_size.0, page_size.1))
}

fn samples(image: &Image<'_>) -> Result<Samples, ImageFault> {
    let unsupported = || Err(ImageFault::unsupported("JPEG 2000 images with these color channels"));
    let colors = match image.color_space() {
        ColorSpace::Gray => 1,
        ColorSpace::RGB => 3,
        ColorSpace::CMYK => 4,
        ColorSpace::Unknown { num_channels } | ColorSpace::Icc { num_channels, .. } => *num_channels,
    };
    match (colors, image.has_alpha()) {
        (1, false) => Ok(Samples::Gray),
        (1, true) | (2, false) => Ok(Samples::GrayAlpha),
        (3, false) => Ok(Samples::Rgb),
        (3, true) => Ok(Samples::RgbAlpha),
        (4, false) => Ok(Samples::Cmyk),
        _ => unsupported(),
    }
}

fn fault(error: &DecodeError) -> ImageFault {
    match error {
        DecodeError::Format(_) => DAMAGED,
        _ => ImageFault::Invalid("its data is damaged, or uses a rare feature of JPEG 2000"),
    }
}
