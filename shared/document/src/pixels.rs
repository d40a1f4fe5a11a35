//! Converts decoded samples to blue, green and red on white. In place, because a page of 100 million pixels takes 300
//! MB.

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
}

/// Converts 16-bit samples in native byte order to 8 bits: keeps the high byte of each.
pub(crate) fn narrow(mut samples: Vec<u8>) -> Vec<u8> {
    let count = samples.len() / 2;
    for i in 0..count {
        let wide = u16::from_ne_bytes([samples[2 * i], samples[2 * i + 1]]);
        samples[i] = (wide >> 8) as u8;
    }
    samples.truncate(count);
    samples
}

/// Converts each pixel to blue, green and red, in the same buffer.
pub(crate) fn to_bgr(samples: Vec<u8>, kind: Samples) -> Vec<u8> {
    match kind {
        Samples::Gray => spread(samples),
        Samples::GrayAlpha => spread(shrink(samples, |[gray, alpha]| [on_white(gray, alpha)])),
        Samples::Rgb => shrink(samples, |[r, g, b]| [b, g, r]),
        Samples::RgbAlpha => shrink(samples, |[r, g, b, a]| [b, g, r].map(|v| on_white(v, a))),
        Samples::Cmyk => shrink(samples, |[c, m, y, k]| [y, m, c].map(|ink| product(255 - ink, 255 - k))),
        Samples::YCbCr => shrink(samples, |[y, cb, cr]| ycbcr_to_bgr(y, cb, cr)),
    }
}

/// Replaces each group of `N` bytes with `M` ≤ `N` bytes.
fn shrink<const N: usize, const M: usize>(mut bytes: Vec<u8>, convert: impl Fn([u8; N]) -> [u8; M]) -> Vec<u8> {
    let count = bytes.len() / N;
    for i in 0..count {
        let group = std::array::from_fn(|n| bytes[i * N + n]);
        bytes[i * M..][..M].copy_from_slice(&convert(group));
    }
    bytes.truncate(count * M);
    bytes
}

/// Repeats each gray sample three times, from the last pixel to the first, so that none is overwritten before it is
/// read.
fn spread(mut bytes: Vec<u8>) -> Vec<u8> {
    let count = bytes.len();
    bytes.resize(count * 3, 0);
    for i in (0..count).rev() {
        let gray = bytes[i];
        bytes[i * 3..][..3].fill(gray);
    }
    bytes
}

fn on_white(value: u8, alpha: u8) -> u8 {
    product(value, alpha) + (255 - alpha)
}

/// Multiplies two fractions of 255.
fn product(a: u8, b: u8) -> u8 {
    ((u16::from(a) * u16::from(b) + 127) / 255) as u8
}

fn ycbcr_to_bgr(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    let (r, g, b) = (y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb);
    [b, g, r].map(|value| value.round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_white_is_white() {
        let whites: [(Samples, &[u8]); 6] = [
            (Samples::Gray, &[255]),
            (Samples::GrayAlpha, &[0, 0]),
            (Samples::Rgb, &[255; 3]),
            (Samples::RgbAlpha, &[10, 20, 30, 0]),
            (Samples::Cmyk, &[0; 4]),
            (Samples::YCbCr, &[255, 128, 128]),
        ];
        for (kind, white) in whites {
            assert_eq!(to_bgr(white.repeat(5), kind), [255; 15], "{kind:?}");
        }
    }

    #[test]
    fn the_order_is_blue_green_red() {
        let reds: [(Samples, &[u8]); 4] = [
            (Samples::Rgb, &[255, 0, 0]),
            (Samples::RgbAlpha, &[255, 0, 0, 255]),
            (Samples::Cmyk, &[0, 255, 255, 0]),
            (Samples::YCbCr, &[76, 85, 255]),
        ];
        for (kind, red) in reds {
            let bgr = to_bgr(red.to_vec(), kind);
            let near = bgr.iter().zip([0, 0, 255]).all(|(found, wanted)| found.abs_diff(wanted) < 2);
            assert!(near, "{kind:?} {bgr:?}");
        }
    }

    #[test]
    fn half_transparent_pixels_are_half_white() {
        assert_eq!(to_bgr(vec![0, 0, 200, 128], Samples::RgbAlpha), [227, 127, 127]);
        assert_eq!(to_bgr(vec![0, 128, 7, 255], Samples::GrayAlpha), [127, 127, 127, 7, 7, 7]);
    }

    #[test]
    fn samples_of_16_bits_keep_their_high_byte() {
        let wide: Vec<u8> = [0x1234_u16, 0xffff, 0x00ff].iter().flat_map(|v| v.to_ne_bytes()).collect();
        assert_eq!(narrow(wide), [0x12, 0xff, 0x00]);
    }
}
