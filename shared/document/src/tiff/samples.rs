//! Turns the stored bits of a row into the samples of a color, one byte each.

use super::shape::{ExtraSample, Photometric, Shape};

/// The pixels of each byte of 1 bit per sample.
const PIXELS: [[u8; 8]; 256] = {
    let mut pixels = [[0; 8]; 256];
    let mut i = 0;
    while i < 256 * 8 {
        pixels[i / 8][i % 8] = if (i / 8) >> (7 - i % 8) & 1 == 1 { 255 } else { 0 };
        i += 1;
    }
    pixels
};

/// Undoes the prediction of each sample by the one to its left (TIFF 6.0, section 14), for 8, 16 and 32 bits.
pub(super) fn undo_prediction(bytes: &mut [u8], row_bytes: usize, bits: usize, samples: usize) {
    for row in bytes.chunks_exact_mut(row_bytes) {
        match bits {
            8 => {
                for i in samples..row.len() {
                    row[i] = row[i].wrapping_add(row[i - samples]);
                }
            }
            16 => {
                let wide = row.as_chunks_mut::<2>().0;
                for i in samples..wide.len() {
                    let sum = u16::from_be_bytes(wide[i]).wrapping_add(u16::from_be_bytes(wide[i - samples]));
                    wide[i] = sum.to_be_bytes();
                }
            }
            32 => {
                let wide = row.as_chunks_mut::<4>().0;
                for i in samples..wide.len() {
                    let sum = u32::from_be_bytes(wide[i]).wrapping_add(u32::from_be_bytes(wide[i - samples]));
                    wide[i] = sum.to_be_bytes();
                }
            }
            _ => {}
        }
    }
}

/// Turns samples of several bytes so that the high byte is the first.
pub(super) fn to_big_endian(bytes: &mut [u8], sample_bytes: usize) {
    bytes.chunks_exact_mut(sample_bytes).for_each(<[u8]>::reverse);
}

/// Appends the samples of a stored row as bytes: scaled to 0 to 255, except for indices of a palette.
pub(super) fn unpack(row: &[u8], bits: usize, is_palette: bool, samples: usize, result: &mut Vec<u8>) {
    match bits {
        8 => result.extend_from_slice(&row[..samples.min(row.len())]),
        16 | 24 | 32 | 64 => result.extend(row.chunks_exact(bits / 8).take(samples).map(|sample| sample[0])),
        1 if !is_palette => {
            let end = result.len() + samples;
            for byte in row {
                result.extend_from_slice(&PIXELS[usize::from(*byte)]);
            }
            result.truncate(end);
        }
        _ => {
            let max = (1_u32 << bits) - 1;
            let scale = |value: u32| if is_palette { value } else { value * 255 / max };
            result.extend((0..samples).map(|i| scale(bits_at(row, i * bits, bits)) as u8));
        }
    }
}

/// Returns up to 16 bits from a position, the highest first.
fn bits_at(row: &[u8], at: usize, bits: usize) -> u32 {
    let byte = |index: usize| u32::from(row.get(index).copied().unwrap_or(0));
    let first = at / 8;
    let three = byte(first) << 16 | byte(first + 1) << 8 | byte(first + 2);
    three >> (24 - at % 8 - bits) & ((1 << bits) - 1)
}

/// Returns the rows of brightness and colors of one row of units with subsampled colors, interleaved.
pub(super) fn expand_units(row: &[u8], (horizontal, vertical): (usize, usize), width: usize) -> Vec<Vec<u8>> {
    let unit_bytes = horizontal * vertical + 2;
    let mut rows = vec![vec![0; width * 3]; vertical];
    for (number, unit) in row.chunks_exact(unit_bytes).enumerate() {
        let colors = [unit[unit_bytes - 2], unit[unit_bytes - 1]];
        for (index, brightness) in unit[..unit_bytes - 2].iter().enumerate() {
            let (x, y) = (number * horizontal + index % horizontal, index / horizontal);
            if x < width {
                rows[y][x * 3..][..3].copy_from_slice(&[*brightness, colors[0], colors[1]]);
            }
        }
    }
    rows
}

/// Converts a row of samples to those of [`Shape::kind`], in place.
pub(super) fn to_colors(row: Vec<u8>, shape: &Shape) -> Vec<u8> {
    let kept = shape.kept_samples();
    let mut row = if shape.samples == kept { row } else { keep(&row, shape.samples, kept) };
    if shape.is_signed && !matches!(shape.photometric, Photometric::Palette | Photometric::Lab { .. }) {
        for sample in &mut row {
            *sample ^= 0x80;
        }
    }
    match shape.photometric {
        Photometric::WhiteIsZero => row.chunks_exact_mut(kept).for_each(|pixel| pixel[0] = 255 - pixel[0]),
        Photometric::Palette => return look_up(&row, kept, &shape.palette),
        Photometric::Lab { is_signed: false } => {
            row.chunks_exact_mut(kept).for_each(|pixel| pixel[1..3].iter_mut().for_each(|color| *color ^= 0x80));
        }
        Photometric::YCbCr => {
            if let Some((black, white)) = shape.reference {
                let scale = |value: u8| ((f64::from(value) - black) * 255.0 / (white - black)).round() as u8;
                row.chunks_exact_mut(kept).for_each(|pixel| pixel[0] = scale(pixel[0]));
            }
        }
        _ => {}
    }
    if shape.extra == ExtraSample::AssociatedOpacity && kept > shape.photometric.colors() {
        row.chunks_exact_mut(kept).for_each(divide_by_opacity);
    }
    row
}

/// Keeps the first samples of each pixel.
fn keep(row: &[u8], samples: usize, kept: usize) -> Vec<u8> {
    row.chunks_exact(samples).flat_map(|pixel| &pixel[..kept]).copied().collect()
}

/// Undoes the multiplication of the colors with the opacity, the last sample.
fn divide_by_opacity(pixel: &mut [u8]) {
    let Some((alpha, colors)) = pixel.split_last_mut() else { return };
    if *alpha != 0 {
        let divide = |color: u8| (u32::from(color) * 255 / u32::from(*alpha)).min(255) as u8;
        for color in colors {
            *color = divide(*color);
        }
    }
}

/// Replaces indices by the colors of the palette; one beyond it is black.
fn look_up(row: &[u8], samples: usize, palette: &[[u8; 3]]) -> Vec<u8> {
    let color = |index: u8| palette.get(usize::from(index)).copied().unwrap_or_default();
    let mut result = Vec::with_capacity(row.len() * 3);
    for pixel in row.chunks_exact(samples) {
        result.extend(color(pixel[0]));
        result.extend(&pixel[1..]);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(row: &[u8], bits: usize, samples: usize) -> Vec<u8> {
        let mut result = Vec::new();
        unpack(row, bits, false, samples, &mut result);
        result
    }

    #[test]
    fn samples_of_any_size_are_scaled() {
        assert_eq!(unpacked(&[0b1010_0000], 1, 3), [255, 0, 255]);
        assert_eq!(unpacked(&[0b0001_1011], 2, 4), [0, 85, 170, 255]);
        assert_eq!(unpacked(&[0xf0, 0x50], 4, 3), [255, 0, 85]);
        assert_eq!(unpacked(&[0xff, 0xf0, 0x00], 12, 2), [255, 0]);
        assert_eq!(unpacked(&[0x12, 0x34, 0xff, 0xff], 16, 2), [0x12, 0xff]);
    }

    #[test]
    fn prediction_is_undone_for_each_sample() {
        let mut bytes = [10, 20, 5, 255, 1, 1];
        undo_prediction(&mut bytes, 6, 8, 2);
        assert_eq!(bytes, [10, 20, 15, 19, 16, 20]);
        let mut wide = [0, 250, 0, 10];
        undo_prediction(&mut wide, 4, 16, 1);
        assert_eq!(wide, [0, 250, 1, 4]);
    }

    #[test]
    fn units_of_subsampled_colors_cover_their_pixels() {
        let rows = expand_units(&[1, 2, 3, 4, 90, 91, 5, 6, 7, 8, 92, 93], (2, 2), 3);
        assert_eq!(rows, [vec![1, 90, 91, 2, 90, 91, 5, 92, 93], vec![3, 90, 91, 4, 90, 91, 7, 92, 93]]);
    }
}
