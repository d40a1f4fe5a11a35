//! The frame header of a JPEG (ITU-T T.81, annex B.2.2), which names the size and the coding.

use crate::image_fault::{DAMAGED, ImageFault};

/// Codes of markers (table B.1).
const START_OF_IMAGE: u8 = 0xd8;
const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;
/// Frame of JPEG-LS (ITU-T T.87, annex C).
const JPEG_LS_FRAME: u8 = 0xf7;

/// The frame of a JPEG that the decoder supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JpegFrame {
    /// Width and height; a height of 0 is defined after the first scan, which no decoder here supports.
    pub(crate) size: (u32, u32),
    /// The number of color components.
    pub(crate) components: u8,
    /// Whether all rows are refined by several scans, so that all coefficients are in memory.
    pub(crate) is_progressive: bool,
    /// The coefficients of all components, 2 bytes each in memory.
    pub(crate) coefficients: u64,
}

/// Returns the frame.
///
/// # Errors
/// Fails for codings that no decoder supports, and if there is no frame header.
pub(crate) fn find(jpeg: &[u8]) -> Result<JpegFrame, ImageFault> {
    let mut at = 0;
    while let Some(marker) = next_marker(jpeg, &mut at) {
        if matches!(marker, START_OF_IMAGE | 0x01 | 0xd0..=0xd7) {
            continue;
        }
        if matches!(marker, START_OF_SCAN | END_OF_IMAGE) {
            return Err(DAMAGED);
        }
        let length = jpeg.get(at..at + 2).ok_or(ImageFault::Truncated)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        if is_frame(marker) {
            return parse(marker, jpeg.get(at + 2..).unwrap_or_default());
        }
        at += length.max(2);
    }
    Err(ImageFault::Truncated)
}

/// Returns whether the end of the first image is marked; others may follow, e.g. for brightness on other displays.
pub(crate) fn has_end(jpeg: &[u8]) -> bool {
    let mut at = 0;
    while let Some(marker) = next_marker(jpeg, &mut at) {
        match marker {
            END_OF_IMAGE => return true,
            START_OF_IMAGE | 0x01 | 0xd0..=0xd7 => {}
            _ => {
                let Some(&[high, low]) = jpeg.get(at..).and_then(|rest| rest.first_chunk()) else { return false };
                at += usize::from(u16::from_be_bytes([high, low])).max(2);
            }
        }
    }
    false
}

/// Returns the code of the next marker, and moves behind it.
fn next_marker(jpeg: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        let ff = jpeg.get(*at..)?.iter().position(|byte| *byte == 0xff)? + *at;
        *at = ff + 1;
        match *jpeg.get(*at)? {
            // Stuffing and fill bytes.
            0 | 0xff => {}
            code => {
                *at += 1;
                return Some(code);
            }
        }
    }
}

const fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf | JPEG_LS_FRAME)
}

fn parse(marker: u8, header: &[u8]) -> Result<JpegFrame, ImageFault> {
    let &[precision, height1, height2, width1, width2, components, ref rest @ ..] = header else {
        return Err(ImageFault::Truncated);
    };
    match marker {
        0xc0..=0xc2 => {}
        JPEG_LS_FRAME => return Err(ImageFault::unsupported("JPEG-LS images")),
        0xc3 | 0xcb => return Err(ImageFault::unsupported("Lossless JPEG images")),
        0xc9 | 0xca => return Err(ImageFault::unsupported("Arithmetic-coded JPEG images")),
        _ => return Err(ImageFault::unsupported("Hierarchical JPEG images")),
    }
    if precision != 8 {
        return Err(ImageFault::unsupported(format!("JPEG images of {precision} bits per sample")));
    }
    let size = (u32::from(u16::from_be_bytes([width1, width2])), u32::from(u16::from_be_bytes([height1, height2])));
    let is_progressive = marker == 0xc2;
    Ok(JpegFrame { size, components, is_progressive, coefficients: coefficients(size, components, rest) })
}

/// Counts the coefficients of components with these sampling factors (identifier, factors, table).
fn coefficients((width, height): (u32, u32), components: u8, parameters: &[u8]) -> u64 {
    let factors = parameters
        .as_chunks::<3>()
        .0
        .iter()
        .take(usize::from(components))
        .map(|[_, factors, _]| (u64::from(factors >> 4).max(1), u64::from(factors & 15).max(1)));
    let most = factors.clone().fold((1, 1), |most, factor| (most.0.max(factor.0), most.1.max(factor.1)));
    let pixels = u64::from(width) * u64::from(height);
    factors.map(|(horizontal, vertical)| pixels * horizontal * vertical / (most.0 * most.1)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(marker: u8, precision: u8) -> Vec<u8> {
        let mut jpeg = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 0xff, 0xd9];
        jpeg.extend([0xff, marker, 0, 17, precision, 0, 20, 0, 40, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]);
        jpeg
    }

    #[test]
    fn the_frame_has_the_size_and_the_coefficients() {
        let found = find(&frame(0xc2, 8)).expect("a frame");
        let expected = JpegFrame { size: (40, 20), components: 3, is_progressive: true, coefficients: 1_200 };
        assert_eq!(found, expected);
    }

    #[test]
    fn the_end_is_that_of_the_first_image() {
        let mut jpeg = [frame(0xc0, 8), vec![0xff, 0xda, 0, 4, 1, 2, 9, 0xff, 0, 9, 0xff, 0xd0, 9]].concat();
        assert!(!has_end(&jpeg));
        jpeg.extend([0xff, 0xd9]);
        assert!(has_end(&jpeg));
        jpeg.extend([0xff, 0xd8, 0xff, 0xda, 0, 4, 1, 2, 9]);
        assert!(has_end(&jpeg));
    }

    #[test]
    fn unsupported_codings_are_named() {
        for (marker, precision, named) in [
            (0xc9, 8, "Arithmetic-coded JPEG images are not supported"),
            (0xc1, 12, "JPEG images of 12 bits per sample are not supported"),
            (0xc3, 8, "Lossless JPEG images are not supported"),
            (0xf7, 8, "JPEG-LS images are not supported"),
        ] {
            assert_eq!(find(&frame(marker, precision)).expect_err("unsupported").to_string(), named);
        }
    }
}
