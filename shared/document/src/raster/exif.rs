//! The orientation in EXIF metadata.

use image::metadata::Orientation;

/// What precedes the metadata in JPEG. Some programs write it in WebP and PNG as well.
const PREFIX: &[u8] = b"Exif\0\0";

/// Returns the orientation of EXIF metadata, with or without the prefix that it has in JPEG.
pub(super) fn orientation(exif: Option<&[u8]>) -> Orientation {
    let exif = exif.map(|exif| exif.strip_prefix(PREFIX).unwrap_or(exif));
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}
