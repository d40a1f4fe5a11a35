//! Decoding of images with one page. A damaged image is decoded as far as possible, row by row.

mod bmp;
mod exif;
mod gif;
pub(crate) mod jpeg;
mod jpeg2000;
mod jpeg_frame;
mod jpeg_xl;
mod png;
mod png_checksums;
mod source;
mod webp;

use std::fs::File;

use quire_tasks::{DocumentFormat, Failure, FailureCode};

use crate::{DocumentLimits, PageImage, image_fault::ImageFault, transparency::Alpha};

/// Returns width and height from the header.
///
/// # Errors
/// Fails with a [`Failure`] for an image that cannot be decoded, as far as the header says, or is too large.
pub(crate) fn size(file: &File, format: DocumentFormat, limits: &DocumentLimits) -> Result<(u32, u32), Failure> {
    let size = match format {
        DocumentFormat::Png => png::size(file),
        DocumentFormat::Jpeg => jpeg::size(file),
        DocumentFormat::Webp => webp::size(file),
        DocumentFormat::Bmp => bmp::size(file),
        DocumentFormat::Gif => gif::size(file),
        DocumentFormat::Jpeg2000 => jpeg2000::size(file),
        DocumentFormat::JpegXl => jpeg_xl::size(file),
        DocumentFormat::Pdf | DocumentFormat::Tiff => Err(ImageFault::Invalid("it is not an image with one page")),
    };
    let is_whole = matches!(format, DocumentFormat::Webp | DocumentFormat::Bmp | DocumentFormat::Gif);
    let max_pixels = if is_whole { limits.whole().max_pixels } else { limits.max_pixels };
    size.and_then(|size| {
        crate::rows::check_size(size, max_pixels)?;
        Ok(size)
    })
    .map_err(|fault| fault.into_failure(FailureCode::UnreadableDocument, "The image"))
}

/// Decodes the image.
///
/// # Errors
/// Fails with a [`Failure`] if nothing of it can be decoded.
pub(crate) fn decode(file: &File, format: DocumentFormat, limits: &DocumentLimits) -> Result<PageImage, Failure> {
    let decoded = match decode_with(file, format, limits, Alpha::Applied) {
        Err(ImageFault::Invisible) => decode_with(file, format, limits, Alpha::Ignored),
        decoded => decoded,
    };
    decoded.map_err(|fault| fault.into_failure(FailureCode::UnreadablePage, "The image"))
}

fn decode_with(
    file: &File,
    format: DocumentFormat,
    limits: &DocumentLimits,
    alpha: Alpha,
) -> Result<PageImage, ImageFault> {
    match format {
        DocumentFormat::Png => png::decode(file, limits, alpha),
        DocumentFormat::Jpeg => jpeg::decode(file, limits),
        DocumentFormat::Webp => webp::decode(file, limits, alpha),
        DocumentFormat::Bmp => bmp::decode(file, limits, alpha),
        DocumentFormat::Gif => gif::decode(file, limits, alpha),
        DocumentFormat::Jpeg2000 => jpeg2000::decode(file, limits, alpha),
        DocumentFormat::JpegXl => jpeg_xl::decode(file, limits, alpha),
        DocumentFormat::Pdf | DocumentFormat::Tiff => Err(ImageFault::Invalid("it is not an image with one page")),
    }
}
