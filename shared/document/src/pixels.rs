//! Converts decoded samples to blue, green and red, row by row.

use crate::{
    rows::{Channels, product},
    transparency::Alpha,
};

/// The color type: the samples of a pixel in order, one byte each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Samples {
    Gray,
    GrayAlpha,
    Rgb,
    RgbAlpha,
    /// Subtractive: 0 is white.
    Cmyk,
    /// ITU-R BT.601 in full range, as in JPEG (JFIF).
    YCbCr,
    /// CIE L*a*b* with signed a* and b* (TIFF 6.0, section 23).
    Lab,
}

impl Samples {
    /// Returns the samples, and bytes, of a pixel.
    pub(crate) const fn count(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::GrayAlpha => 2,
            Self::Rgb | Self::YCbCr | Self::Lab => 3,
            Self::RgbAlpha | Self::Cmyk => 4,
        }
    }

    /// Returns the channels to which pixels are converted.
    pub(crate) const fn channels(self, alpha: Alpha) -> Channels {
        match (self, alpha) {
            (Self::Gray, _) | (Self::GrayAlpha, Alpha::Ignored) => Channels::Gray,
            (Self::GrayAlpha | Self::RgbAlpha, Alpha::Applied) => Channels::BgrAlpha,
            _ => Channels::Bgr,
        }
    }
}

/// Converts a row to the [channels](Samples::channels) of its kind; replaces the content of `row`.
pub(crate) fn convert_row(samples: &[u8], kind: Samples, alpha: Alpha, row: &mut Vec<u8>) {
    row.clear();
    match (kind, alpha) {
        (Samples::Gray, _) => row.extend_from_slice(samples),
        (Samples::GrayAlpha, Alpha::Ignored) => convert(samples, row, |[gray, _]: [u8; 2]| [gray]),
        (Samples::GrayAlpha, Alpha::Applied) => convert(samples, row, |[gray, alpha]| [gray, gray, gray, alpha]),
        (Samples::Rgb, _) => convert(samples, row, |[r, g, b]| [b, g, r]),
        (Samples::RgbAlpha, Alpha::Ignored) => convert(samples, row, |[r, g, b, _]: [u8; 4]| [b, g, r]),
        (Samples::RgbAlpha, Alpha::Applied) => convert(samples, row, |[r, g, b, a]| [b, g, r, a]),
        (Samples::Cmyk, _) => {
            convert(samples, row, |[c, m, y, k]: [u8; 4]| [y, m, c].map(|ink| product(255 - ink, 255 - k)));
        }
        (Samples::YCbCr, _) => convert(samples, row, |[y, cb, cr]| ycbcr_to_bgr(y, cb, cr)),
        (Samples::Lab, _) => convert(samples, row, |[l, a, b]| lab_to_bgr(l, a as i8, b as i8)),
    }
}

fn convert<const N: usize, const M: usize>(samples: &[u8], row: &mut Vec<u8>, pixel: impl Fn([u8; N]) -> [u8; M]) {
    row.extend(samples.as_chunks::<N>().0.iter().flat_map(|samples| pixel(*samples)));
}

fn ycbcr_to_bgr(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    let (r, g, b) = (y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb);
    [b, g, r].map(|value| value.round() as u8)
}

/// Converts by way of CIE XYZ, relative to the white point, to sRGB (IEC 61966-2-1). The white point becomes white.
fn lab_to_bgr(lightness: u8, green_red: i8, blue_yellow: i8) -> [u8; 3] {
    let middle = (f32::from(lightness) / 2.55 + 16.0) / 116.0;
    let linear = |t: f32| if t > 6.0 / 29.0 { t.powi(3) } else { (t - 4.0 / 29.0) * 108.0 / 841.0 };
    let x = linear(middle + f32::from(green_red) / 500.0) * 0.9505;
    let y = linear(middle);
    let z = linear(middle - f32::from(blue_yellow) / 200.0) * 1.089;
    let red = 3.2406 * x - 1.5372 * y - 0.4986 * z;
    let green = -0.9689 * x + 1.8758 * y + 0.0415 * z;
    let blue = 0.0557 * x - 0.2040 * y + 1.0570 * z;
    let encode = |light: f32| {
        if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
    };
    [blue, green, red].map(|value| (encode(value) * 255.0).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(kind: Samples, samples: &[u8]) -> Vec<u8> {
        let mut row = vec![1, 2, 3];
        convert_row(samples, kind, Alpha::Applied, &mut row);
        row
    }

    #[test]
    fn every_kind_of_white_is_white() {
        let whites: [(Samples, &[u8]); 4] = [
            (Samples::Rgb, &[255; 3]),
            (Samples::Cmyk, &[0; 4]),
            (Samples::YCbCr, &[255, 128, 128]),
            (Samples::Lab, &[255, 0, 0]),
        ];
        for (kind, white) in whites {
            assert_eq!(converted(kind, &white.repeat(5)), [255; 15], "{kind:?}");
        }
        assert_eq!(converted(Samples::Gray, &[255]), [255]);
    }

    #[test]
    fn the_order_is_blue_green_red() {
        let reds: [(Samples, &[u8]); 4] = [
            (Samples::Rgb, &[255, 0, 0]),
            (Samples::Cmyk, &[0, 255, 255, 0]),
            (Samples::YCbCr, &[76, 85, 255]),
            // CIE L*a*b* of sRGB's red: 53, 80, 67.
            (Samples::Lab, &[136, 80, 67]),
        ];
        for (kind, red) in reds {
            let bgr = converted(kind, red);
            let near = bgr.iter().zip([0, 0, 255]).all(|(found, wanted)| found.abs_diff(wanted) < 5);
            assert!(near, "{kind:?} {bgr:?}");
        }
    }

    #[test]
    fn transparency_is_kept_or_ignored() {
        assert_eq!(converted(Samples::RgbAlpha, &[1, 2, 3, 4]), [3, 2, 1, 4]);
        assert_eq!(converted(Samples::GrayAlpha, &[1, 4]), [1, 1, 1, 4]);
        let mut row = Vec::new();
        convert_row(&[1, 2, 3, 0], Samples::RgbAlpha, Alpha::Ignored, &mut row);
        assert_eq!(row, [3, 2, 1]);
        convert_row(&[7, 0], Samples::GrayAlpha, Alpha::Ignored, &mut row);
        assert_eq!(row, [7]);
    }
}
