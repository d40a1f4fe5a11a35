//! A page that shows the image of a document as it is stored.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use quire_document::{StoredCoding, StoredColors, StoredImage};
use quire_formats::{PictureCoding, PictureColors, PictureStrip, StoredPage, StoredPicture};
use quire_tasks::PageText;

use crate::documents::{
    pdf_source::Pdf,
    source_bytes::{are_within, length, write_parts},
};

/// The resolution of images: their metadata is mostly wrong, and scans typically have this one.
const IMAGE_DPI: f32 = 200.0;

/// Adds a page with the image of the document at this path, and its text if it was read in the size of the page.
/// Returns whether the image is one of the document.
///
/// # Errors
/// Those of the files.
pub(crate) fn add_stored_page(
    pdf: &mut Pdf,
    image: &StoredImage,
    path: &Path,
    text: Option<&PageText>,
) -> io::Result<bool> {
    let file = File::open(path)?;
    let rows = image.strips.iter().fold(0, |rows: u32, strip| rows.saturating_add(strip.rows));
    if rows != image.height {
        return Ok(false);
    }
    for strip in &image.strips {
        if !are_within(&strip.data, &image.bytes, &file)? {
            return Ok(false);
        }
    }
    let writers: Vec<_> = image
        .strips
        .iter()
        .map(|strip| |out: &mut dyn Write| write_parts(&strip.data, &image.bytes, &file, out))
        .collect();
    let strips: Vec<PictureStrip<'_>> = image
        .strips
        .iter()
        .zip(&writers)
        .map(|(strip, write)| PictureStrip {
            rows: strip.rows,
            coding: coding(strip.coding),
            bytes: length(&strip.data),
            write,
        })
        .collect();
    let (width, height) = (image.page_width, image.page_height);
    let picture = StoredPicture {
        width: image.width,
        height: image.height,
        orientation: image.orientation,
        bits: image.bits,
        colors: colors(&image.colors),
        strips: &strips,
    };
    // The correction of an unread page has no size and always fits.
    let has_size = |text: &&PageText| [(0, 0), (width, height)].contains(&(text.width, text.height));
    pdf.stored_page(&StoredPage { width, height, dpi: IMAGE_DPI, image: picture }, text.filter(has_size))?;
    Ok(true)
}

const fn coding(coding: StoredCoding) -> PictureCoding {
    match coding {
        StoredCoding::Jpeg => PictureCoding::Jpeg,
        StoredCoding::Jpeg2000 => PictureCoding::Jpeg2000,
        StoredCoding::Png => PictureCoding::Png,
        StoredCoding::Fax { k, is_byte_aligned } => PictureCoding::Fax { k, is_byte_aligned },
    }
}

fn colors(colors: &StoredColors) -> PictureColors<'_> {
    match colors {
        StoredColors::Gray { is_inverted } => PictureColors::Gray { is_inverted: *is_inverted },
        StoredColors::Rgb => PictureColors::Rgb,
        StoredColors::Cmyk { is_inverted } => PictureColors::Cmyk { is_inverted: *is_inverted },
        StoredColors::Palette(colors) => PictureColors::Palette(colors),
    }
}
