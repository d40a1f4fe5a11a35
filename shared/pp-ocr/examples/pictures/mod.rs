//! Decodes image files for the examples.

use std::path::Path;

use quire_document::PageImage;

/// Decodes a file into pixels in the order blue, green, red.
pub(crate) fn decode(file: &Path) -> image::ImageResult<PageImage> {
    let image = image::open(file)?.into_rgb8();
    let (width, height) = image.dimensions();
    let mut pixels = image.into_raw();
    pixels.chunks_exact_mut(PageImage::CHANNELS).for_each(|pixel| pixel.swap(0, 2));
    Ok(PageImage::new(width, height, pixels))
}
