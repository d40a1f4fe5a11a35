//! The image of a page as its document stores it.

use serde::{Deserialize, Serialize};

use crate::pdf::BodyPart;

/// The image of a page in a form that a PDF can contain, without loss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredImage {
    /// The width in pixels, as stored.
    pub width: u32,
    /// The height in pixels, as stored.
    pub height: u32,
    /// The width of the page in pixels, in which the positions of its text are measured: after the orientation.
    pub page_width: u32,
    /// The height of the page in pixels.
    pub page_height: u32,
    /// How the image is to be turned and mirrored: from 1 to 8, as in EXIF.
    pub orientation: u8,
    /// Bits per sample.
    pub bits: u8,
    /// What the samples mean.
    pub colors: StoredColors,
    /// The parts of the image, from the top.
    pub strips: Vec<StoredStrip>,
    /// The bytes to which spans of copies refer.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

/// Rows of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredStrip {
    /// The number of rows.
    pub rows: u32,
    /// How they are encoded.
    pub coding: StoredCoding,
    /// The encoded bytes.
    pub data: Vec<BodyPart>,
}

/// How an image is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoredCoding {
    /// JPEG.
    Jpeg,
    /// JPEG 2000, whose own header has the colors and the bits.
    Jpeg2000,
    /// The image data of PNG: filtered rows, compressed.
    Png,
    /// Fax (ITU-T T.4 and T.6).
    Fax {
        /// The parameter `K` of PDF: negative for group 4, 0 for one-dimensional coding, positive for a mix.
        k: i8,
        /// Whether each row begins at a byte.
        is_byte_aligned: bool,
    },
}

/// What the samples of an image mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoredColors {
    /// Brightness.
    Gray {
        /// Whether 0 is white.
        is_inverted: bool,
    },
    /// Red, green and blue.
    Rgb,
    /// Cyan, magenta, yellow and black.
    Cmyk {
        /// Whether 0 is full ink.
        is_inverted: bool,
    },
    /// Indices of these colors.
    Palette(Vec<[u8; 3]>),
}
