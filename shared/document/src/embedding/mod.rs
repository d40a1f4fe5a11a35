//! Finds the image of a page in a form that a PDF can contain: as it is stored, or encoded again without loss.

mod lossless;
mod png_file;

use std::fs::File;

use quire_tasks::{DocumentFormat, Failure, FailureCode};

use crate::{
    DocumentLimits, PageImage,
    pdf::{BodyPart, Span},
    raster,
    raster::jpeg,
    stored_image::{StoredCoding, StoredColors, StoredImage, StoredStrip},
};

/// The most bytes of an image that is encoded again, if it was stored with loss: in bytes of its file.
const MAX_GROWTH: u64 = 2;

/// Returns the image of a document with one page, which was decoded to this one.
///
/// # Errors
/// Fails with a [`Failure`] if the image is damaged, or would be too large.
pub(crate) fn stored_image(
    file: &File,
    format: DocumentFormat,
    limits: &DocumentLimits,
) -> Result<StoredImage, Failure> {
    let decoded = raster::decode(file, format, limits)?;
    of_decoded(&decoded, file, format)
}

fn of_decoded(decoded: &PageImage, file: &File, format: DocumentFormat) -> Result<StoredImage, Failure> {
    if !decoded.warnings().is_empty() {
        return Err(unfit("The image is damaged."));
    }
    let page = (decoded.page_width(), decoded.page_height());
    let stored = match format {
        DocumentFormat::Jpeg => jpeg_image(file, page),
        DocumentFormat::Jpeg2000 => jpeg2000_image(file, page),
        DocumentFormat::Png => png_file::stored(file, page),
        _ => None,
    };
    match stored {
        Some(stored) => Ok(stored),
        None => encoded_again(decoded, file, format),
    }
}

/// Returns the image encoded without loss.
pub(crate) fn encoded_again(decoded: &PageImage, file: &File, format: DocumentFormat) -> Result<StoredImage, Failure> {
    if (decoded.width(), decoded.height()) != (decoded.page_width(), decoded.page_height()) {
        return Err(unfit("The image is too large to be encoded again."));
    }
    let stored = lossless::encode(decoded).ok_or_else(|| unfit("The image cannot be encoded."))?;
    let is_lossy = matches!(format, DocumentFormat::Webp | DocumentFormat::JpegXl);
    let max = file.metadata().map_or(0, |metadata| metadata.len()) * MAX_GROWTH;
    if is_lossy && stored.bytes.len() as u64 > max {
        return Err(unfit("Without loss, the image would be larger than its file."));
    }
    Ok(stored)
}

pub(crate) fn unfit(why: &str) -> Failure {
    Failure::new(FailureCode::UnreadablePage, why)
}

fn whole_file(file: &File) -> Option<BodyPart> {
    Some(BodyPart::Source(Span { start: 0, bytes: file.metadata().ok()?.len() }))
}

fn jpeg_image(file: &File, (page_width, page_height): (u32, u32)) -> Option<StoredImage> {
    let shape = jpeg::shape(file).ok()?;
    let colors = match shape.components {
        1 => StoredColors::Gray { is_inverted: false },
        3 => StoredColors::Rgb,
        4 => StoredColors::Cmyk { is_inverted: shape.is_adobe },
        _ => return None,
    };
    Some(StoredImage {
        width: shape.size.0,
        height: shape.size.1,
        page_width,
        page_height,
        orientation: shape.orientation,
        bits: 8,
        colors,
        strips: vec![StoredStrip { rows: shape.size.1, coding: StoredCoding::Jpeg, data: vec![whole_file(file)?] }],
        bytes: Vec::new(),
    })
}

fn jpeg2000_image(file: &File, (page_width, page_height): (u32, u32)) -> Option<StoredImage> {
    let strip = StoredStrip { rows: page_height, coding: StoredCoding::Jpeg2000, data: vec![whole_file(file)?] };
    Some(StoredImage {
        width: page_width,
        height: page_height,
        page_width,
        page_height,
        orientation: 1,
        bits: 8,
        // The header of the image has its own.
        colors: StoredColors::Rgb,
        strips: vec![strip],
        bytes: Vec::new(),
    })
}
