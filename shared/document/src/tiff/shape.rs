//! What a directory says about its image, with the corrections that sloppy writers need.

use super::tags::{Tags, tag};
use crate::{
    image_fault::{DAMAGED, ImageFault},
    pixels::Samples,
};

/// The most samples of a pixel.
const MAX_SAMPLES: u64 = 32;
/// Pixels are square unless their sides differ by more than this factor: smaller differences are rounding.
const MIN_STRETCH: f64 = 1.15;
/// The largest plausible factor; that of a fax in standard resolution is 2.08.
const MAX_STRETCH: f64 = 4.0;

/// How the samples of a pixel become a color (TIFF 6.0, `PhotometricInterpretation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Photometric {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    Palette,
    Cmyk,
    YCbCr,
    /// In CIE L\*a\*b\*, a\* and b\* are signed; in its variants of ICC and ITU, they have an offset.
    Lab {
        is_signed: bool,
    },
}

impl Photometric {
    /// Returns the samples of a color.
    pub(super) const fn colors(self) -> usize {
        match self {
            Self::WhiteIsZero | Self::BlackIsZero | Self::Palette => 1,
            Self::Rgb | Self::YCbCr | Self::Lab { .. } => 3,
            Self::Cmyk => 4,
        }
    }
}

/// What the samples after the color are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExtraSample {
    None,
    Opacity,
    /// The colors are multiplied with it.
    AssociatedOpacity,
}

/// The image of a directory.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a tag of the format")]
pub(super) struct Shape {
    pub(super) size: (u32, u32),
    pub(super) bits: usize,
    /// Samples of a pixel.
    pub(super) samples: usize,
    pub(super) compression: u64,
    pub(super) photometric: Photometric,
    pub(super) extra: ExtraSample,
    /// Whether each sample has strips or tiles of its own.
    pub(super) is_planar: bool,
    /// Whether 0 is in the middle of the range.
    pub(super) is_signed: bool,
    pub(super) is_fill_order_reversed: bool,
    pub(super) predicts: bool,
    /// Horizontal and vertical subsampling of colors; (1, 1) unless they are stored in units of several pixels.
    pub(super) subsampling: (usize, usize),
    /// The height of a pixel in widths.
    pub(super) pixel_height: f64,
    /// Red, green and blue of each color of a palette.
    pub(super) palette: Vec<[u8; 3]>,
    /// Black and white of YCbCr, of the brightness, if it is not 0 and 255.
    pub(super) reference: Option<(f64, f64)>,
}

/// Values of `Compression`.
pub(super) mod compression {
    pub(in crate::tiff) const NONE: u64 = 1;
    pub(in crate::tiff) const OLD_JPEG: u64 = 6;
    pub(in crate::tiff) const JPEG: u64 = 7;
}

impl Shape {
    /// Interprets the tags.
    ///
    /// # Errors
    /// Fails for what is not supported.
    pub(super) fn of(tags: &Tags) -> Result<Self, ImageFault> {
        let side = |tag| tags.number(tag).and_then(|side| u32::try_from(side).ok()).unwrap_or(0);
        let compression = tags.number_or(tag::COMPRESSION, compression::NONE);
        let samples = tags.number(tag::SAMPLES_PER_PIXEL).unwrap_or(tags.numbers(tag::BITS_PER_SAMPLE).len() as u64);
        let samples = samples.max(1);
        let bits = tags.number_or(tag::BITS_PER_SAMPLE, 1);
        if samples > MAX_SAMPLES || tags.numbers(tag::BITS_PER_SAMPLE).iter().any(|other| *other != bits) {
            return Err(ImageFault::unsupported("TIFF images with samples of different sizes"));
        }
        if tags.numbers(tag::SAMPLE_FORMAT).iter().any(|format| !matches!(format, 1 | 2 | 4)) {
            return Err(ImageFault::unsupported("TIFF images of floating-point numbers"));
        }
        if !matches!(bits, 1..=16 | 24 | 32 | 64) {
            return Err(ImageFault::unsupported(format!("TIFF images of {bits} bits per sample")));
        }
        let samples = samples as usize;
        let photometric = photometric(tags, samples)?;
        let extra = match (samples > photometric.colors(), tags.number(tag::EXTRA_SAMPLES)) {
            (true, Some(1)) => ExtraSample::AssociatedOpacity,
            (true, Some(2)) => ExtraSample::Opacity,
            _ => ExtraSample::None,
        };
        if samples < photometric.colors() {
            return Err(DAMAGED);
        }
        let is_jpeg = matches!(compression, compression::OLD_JPEG | compression::JPEG);
        let is_planar = tags.number(tag::PLANAR_CONFIGURATION) == Some(2) && samples > 1;
        Ok(Self {
            size: (side(tag::IMAGE_WIDTH), side(tag::IMAGE_LENGTH)),
            bits: bits as usize,
            samples,
            compression,
            photometric,
            extra,
            is_planar,
            is_signed: tags.number(tag::SAMPLE_FORMAT) == Some(2) && bits >= 8,
            is_fill_order_reversed: tags.number(tag::FILL_ORDER) == Some(2),
            predicts: predicts(tags)?,
            subsampling: if photometric == Photometric::YCbCr && !is_jpeg { subsampling(tags)? } else { (1, 1) },
            pixel_height: pixel_height(tags),
            palette: if photometric == Photometric::Palette { palette(tags, bits as u32)? } else { Vec::new() },
            reference: reference(tags, photometric),
        })
    }

    /// Returns the number of samples of a pixel that are needed: its color and its opacity.
    pub(super) const fn kept_samples(&self) -> usize {
        let has_alpha = match self.photometric {
            Photometric::Cmyk | Photometric::YCbCr | Photometric::Lab { .. } => false,
            _ => !matches!(self.extra, ExtraSample::None),
        };
        self.photometric.colors() + has_alpha as usize
    }

    /// Returns the kind of the samples of a color after scaling to bytes.
    pub(super) const fn kind(&self) -> Samples {
        match (self.photometric, self.extra) {
            (Photometric::WhiteIsZero | Photometric::BlackIsZero, ExtraSample::None) => Samples::Gray,
            (Photometric::WhiteIsZero | Photometric::BlackIsZero, _) => Samples::GrayAlpha,
            (Photometric::Rgb | Photometric::Palette, ExtraSample::None) => Samples::Rgb,
            (Photometric::Rgb | Photometric::Palette, _) => Samples::RgbAlpha,
            (Photometric::Cmyk, _) => Samples::Cmyk,
            (Photometric::YCbCr, _) => Samples::YCbCr,
            (Photometric::Lab { .. }, _) => Samples::Lab,
        }
    }
}

fn photometric(tags: &Tags, samples: usize) -> Result<Photometric, ImageFault> {
    let is_color = samples >= 3;
    match tags.number(tag::PHOTOMETRIC) {
        Some(0) => Ok(Photometric::WhiteIsZero),
        Some(2) | None if is_color => Ok(Photometric::Rgb),
        Some(3) => Ok(Photometric::Palette),
        Some(5) if tags.number_or(tag::INK_SET, 1) == 1 => Ok(Photometric::Cmyk),
        Some(6) if is_color => Ok(Photometric::YCbCr),
        Some(8) if is_color => Ok(Photometric::Lab { is_signed: true }),
        Some(9 | 10) if is_color => Ok(Photometric::Lab { is_signed: false }),
        // A mask is shown like an image, and of colors that are not there only the brightness.
        Some(1 | 2 | 4 | 6 | 8 | 9 | 10) => Ok(Photometric::BlackIsZero),
        Some(32_803 | 34_892) => Err(ImageFault::unsupported("Raw images of cameras")),
        Some(_) => Err(ImageFault::unsupported("TIFF images with these colors")),
        // Faxes are the files without this tag.
        None => Ok(Photometric::WhiteIsZero),
    }
}

fn predicts(tags: &Tags) -> Result<bool, ImageFault> {
    match tags.number_or(tag::PREDICTOR, 1) {
        2 => Ok(true),
        3 => Err(ImageFault::unsupported("TIFF images of floating-point numbers")),
        _ => Ok(false),
    }
}

fn subsampling(tags: &Tags) -> Result<(usize, usize), ImageFault> {
    // The default is 2 in both directions.
    match *tags.numbers(tag::SUBSAMPLING) {
        [] => Ok((2, 2)),
        [horizontal @ (1 | 2 | 4), vertical @ (1 | 2 | 4), ..] => Ok((horizontal as usize, vertical as usize)),
        _ => Err(DAMAGED),
    }
}

/// Returns the proportions of a pixel by the resolutions in both directions.
fn pixel_height(tags: &Tags) -> f64 {
    let resolution = |tag| tags.fractions(tag).first().copied().unwrap_or(0.0);
    let (x, y) = (resolution(tag::X_RESOLUTION), resolution(tag::Y_RESOLUTION));
    let stretch = if x > 0.0 && y > 0.0 { x / y } else { 1.0 };
    let is_plausible = (MIN_STRETCH..=MAX_STRETCH).contains(&stretch.max(1.0 / stretch));
    if is_plausible { stretch } else { 1.0 }
}

/// Returns the colors: in the file, all reds, then all greens, then all blues, of 16 bits each.
fn palette(tags: &Tags, bits: u32) -> Result<Vec<[u8; 3]>, ImageFault> {
    let map = tags.numbers(tag::COLOR_MAP);
    let colors = map.len() / 3;
    if bits > 8 || colors == 0 {
        return Err(DAMAGED);
    }
    // Some writers store 8 bits.
    let shift = if map.iter().any(|value| *value > 255) { 8 } else { 0 };
    Ok((0..colors).map(|color| [0, 1, 2].map(|channel| (map[channel * colors + color] >> shift) as u8)).collect())
}

fn reference(tags: &Tags, photometric: Photometric) -> Option<(f64, f64)> {
    match *tags.fractions(tag::REFERENCE_BLACK_WHITE) {
        [black, white, ..] if photometric == Photometric::YCbCr && white > black && (black, white) != (0.0, 255.0) => {
            Some((black, white))
        }
        _ => None,
    }
}
