//! Images in a PDF, as their documents store them.

use std::{
    fmt::{self, Write as _},
    io::{self, Write},
};

/// A page of a [`SearchablePdf`](crate::SearchablePdf) that shows an image as its document stores it.
#[derive(Debug, Clone, Copy)]
pub struct StoredPage<'a> {
    /// Width in pixels, in which the positions of its text are measured.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pixels per inch, which determine its size on paper.
    pub dpi: f32,
    /// The image.
    pub image: StoredPicture<'a>,
}

/// An image as its document stores it.
#[derive(Debug, Clone, Copy)]
pub struct StoredPicture<'a> {
    /// Width in pixels, as stored.
    pub width: u32,
    /// Height in pixels, as stored.
    pub height: u32,
    /// How it is to be turned and mirrored: from 1 to 8, as in EXIF.
    pub orientation: u8,
    /// Bits per sample.
    pub bits: u8,
    /// What its samples mean.
    pub colors: PictureColors<'a>,
    /// Its parts, from the top.
    pub strips: &'a [PictureStrip<'a>],
}

/// Rows of an image.
#[derive(Clone, Copy)]
pub struct PictureStrip<'a> {
    /// The number of rows.
    pub rows: u32,
    /// How they are encoded.
    pub coding: PictureCoding,
    /// The number of bytes that `write` writes.
    pub bytes: u64,
    /// Writes the encoded bytes.
    pub write: &'a dyn Fn(&mut dyn Write) -> io::Result<()>,
}

impl fmt::Debug for PictureStrip<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PictureStrip({} rows, {} bytes, {:?})", self.rows, self.bytes, self.coding)
    }
}

/// How an image is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureCoding {
    /// JPEG.
    Jpeg,
    /// JPEG 2000, whose header has the colors and the bits.
    Jpeg2000,
    /// The image data of PNG: filtered rows, compressed.
    Png,
    /// Fax (ITU-T T.4 and T.6).
    Fax {
        /// The parameter `K`: negative for group 4, 0 for one-dimensional coding, positive for a mix.
        k: i8,
        /// Whether each row begins at a byte.
        is_byte_aligned: bool,
    },
}

/// What the samples of an image mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureColors<'a> {
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
    Palette(&'a [[u8; 3]]),
}

impl PictureColors<'_> {
    const fn samples(self) -> u8 {
        match self {
            Self::Gray { .. } | Self::Palette(_) => 1,
            Self::Rgb => 3,
            Self::Cmyk { .. } => 4,
        }
    }

    /// Returns the color space, and the ranges of the samples if they are not as usual.
    fn entries(self) -> String {
        match self {
            Self::Gray { is_inverted } => {
                format!("/ColorSpace/DeviceGray{}", if is_inverted { "/Decode[1 0]" } else { "" })
            }
            Self::Rgb => "/ColorSpace/DeviceRGB".to_owned(),
            Self::Cmyk { is_inverted } => {
                format!("/ColorSpace/DeviceCMYK{}", if is_inverted { "/Decode[1 0 1 0 1 0 1 0]" } else { "" })
            }
            Self::Palette(colors) => {
                let digits = colors.iter().flatten().fold(String::new(), |mut digits, value| {
                    let _ = write!(digits, "{value:02x}");
                    digits
                });
                format!("/ColorSpace[/Indexed/DeviceRGB {} <{digits}>]", colors.len().saturating_sub(1))
            }
        }
    }
}

impl StoredPicture<'_> {
    /// Returns the entries of a strip's dictionary, except its length (ISO 32000-1, 8.9.5).
    pub(crate) fn entries(&self, strip: &PictureStrip<'_>) -> String {
        let (width, rows, bits) = (self.width, strip.rows, self.bits);
        let begin = format!("/Type/XObject/Subtype/Image/Width {width}/Height {rows}");
        let samples = format!("/BitsPerComponent {bits}{}", self.colors.entries());
        match strip.coding {
            PictureCoding::Jpeg => format!("{begin}{samples}/Filter/DCTDecode"),
            PictureCoding::Jpeg2000 => format!("{begin}/Filter/JPXDecode"),
            PictureCoding::Png => {
                let colors = self.colors.samples();
                let parameters = format!("/Predictor 15/Colors {colors}/BitsPerComponent {bits}/Columns {width}");
                format!("{begin}{samples}/Filter/FlateDecode/DecodeParms<<{parameters}>>")
            }
            PictureCoding::Fax { k, is_byte_aligned } => {
                let parameters = format!("/K {k}/Columns {width}/Rows {rows}/EncodedByteAlign {is_byte_aligned}");
                // Black is 1 in the data, as in TIFF; the colors say what it means.
                format!("{begin}{samples}/Filter/CCITTFaxDecode/DecodeParms<<{parameters}/BlackIs1 true>>")
            }
        }
    }

    /// Returns the matrix that draws rows of the image on a page of this size in points.
    pub(crate) fn matrix(&self, top: u32, rows: u32, (width, height): (f32, f32)) -> [f32; 6] {
        let all = self.height.max(1) as f32;
        let share = rows as f32 / all;
        let bottom = 1.0 - (top + rows) as f32 / all;
        // From the unit square of the strip to that of the image, turned and mirrored, to the page.
        let [right_x, right_y, up_x, up_y, x, y] = turned(self.orientation);
        let mut matrix = [right_x, right_y, up_x * share, up_y * share, up_x * bottom + x, up_y * bottom + y];
        for (index, value) in matrix.iter_mut().enumerate() {
            *value *= if index % 2 == 0 { width } else { height };
        }
        matrix
    }
}

/// Returns the matrix that turns and mirrors the unit square: where its lower left corner and its sides are shown. The
/// orientations name where the first row and the first column are (EXIF 2.3, 4.6.4 A).
const fn turned(orientation: u8) -> [f32; 6] {
    match orientation {
        // The first column is on the right.
        2 => [-1.0, 0.0, 0.0, 1.0, 1.0, 0.0],
        // The first row is at the bottom, the first column on the right.
        3 => [-1.0, 0.0, 0.0, -1.0, 1.0, 1.0],
        // The first row is at the bottom.
        4 => [1.0, 0.0, 0.0, -1.0, 0.0, 1.0],
        // The first row is on the left, the first column at the top.
        5 => [0.0, -1.0, -1.0, 0.0, 1.0, 1.0],
        // The first row is on the right, the first column at the top.
        6 => [0.0, -1.0, 1.0, 0.0, 0.0, 1.0],
        // The first row is on the right, the first column at the bottom.
        7 => [0.0, 1.0, 1.0, 0.0, 0.0, 0.0],
        // The first row is on the left, the first column at the bottom.
        8 => [0.0, 1.0, -1.0, 0.0, 1.0, 0.0],
        _ => [1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns where the corners of an image are shown: upper left, upper right, lower left.
    fn corners(orientation: u8) -> [[f32; 2]; 3] {
        let colors = PictureColors::Rgb;
        let picture = StoredPicture { width: 4, height: 4, orientation, bits: 8, colors, strips: &[] };
        let matrix = picture.matrix(0, 4, (10.0, 10.0));
        let shown =
            |[x, y]: [f32; 2]| [matrix[0] * x + matrix[2] * y + matrix[4], matrix[1] * x + matrix[3] * y + matrix[5]];
        [[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]].map(shown)
    }

    #[test]
    fn the_first_row_and_column_are_where_the_orientation_says() {
        let (left, right, top, bottom) = (0.0, 10.0, 10.0, 0.0);
        for (orientation, first, row_end, column_end) in [
            (1, [left, top], [right, top], [left, bottom]),
            (2, [right, top], [left, top], [right, bottom]),
            (3, [right, bottom], [left, bottom], [right, top]),
            (4, [left, bottom], [right, bottom], [left, top]),
            (5, [left, top], [left, bottom], [right, top]),
            (6, [right, top], [right, bottom], [left, top]),
            (7, [right, bottom], [right, top], [left, bottom]),
            (8, [left, bottom], [left, top], [right, bottom]),
        ] {
            assert_eq!(corners(orientation), [first, row_end, column_end], "{orientation}");
        }
    }

    #[test]
    fn strips_are_below_each_other() {
        let colors = PictureColors::Gray { is_inverted: true };
        let picture = StoredPicture { width: 8, height: 4, orientation: 1, bits: 1, colors, strips: &[] };
        for (top, rows, expected) in
            [(0, 3, [80.0, 0.0, 0.0, 30.0, 0.0, 10.0]), (3, 1, [80.0, 0.0, 0.0, 10.0, 0.0, 0.0])]
        {
            let matrix = picture.matrix(top, rows, (80.0, 40.0));
            assert!(matrix.iter().zip(expected).all(|(found, wanted)| (found - wanted).abs() < 1e-4_f32), "{matrix:?}");
        }
    }
}
