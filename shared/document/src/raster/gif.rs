//! Decoding of the first image of a GIF.

use std::{
    fs::File,
    io::{BufReader, Seek},
};

use gif::{ColorOutput, DecodeOptions, Decoder};
use image::metadata::Orientation;

use crate::{
    DocumentLimits, PageImage,
    image_fault::{DAMAGED, ImageFault},
    pixels::{self, Samples},
    rows::PageRows,
    transparency::Alpha,
};

/// First row and distance of the rows of each pass of an interlaced image (GIF 89a, appendix E).
const PASSES: [(usize, usize); 4] = [(0, 8), (4, 8), (2, 4), (1, 2)];

/// The bytes of a pixel in red, green, blue and opacity.
const PIXEL: usize = 4;

fn open(file: &File) -> Result<Decoder<BufReader<&File>>, ImageFault> {
    let mut start = file;
    start.rewind()?;
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    options.check_frame_consistency(false);
    options.allow_unknown_blocks(true);
    options.read_info(BufReader::new(file)).map_err(|error| fault(&error))
}

pub(super) fn size(file: &File) -> Result<(u32, u32), ImageFault> {
    let decoder = open(file)?;
    Ok((u32::from(decoder.width()), u32::from(decoder.height())))
}

pub(super) fn decode(file: &File, limits: &DocumentLimits, alpha: Alpha) -> Result<PageImage, ImageFault> {
    let mut decoder = open(file)?;
    let screen = (usize::from(decoder.width()), usize::from(decoder.height()));
    let size = (screen.0 as u32, screen.1 as u32);
    let mut rows = PageRows::new(size, 1.0, Samples::RgbAlpha.channels(alpha), &limits.whole())?;
    let frame = decoder.next_frame_info().map_err(|error| fault(&error))?.ok_or(ImageFault::Truncated)?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (width, height) = (usize::from(frame.width), usize::from(frame.height));
    let order: Vec<usize> = if frame.interlaced {
        PASSES.iter().flat_map(|(first, distance)| (*first..height).step_by(*distance)).collect()
    } else {
        (0..height).collect()
    };
    let mut canvas = vec![0; screen.0 * screen.1 * PIXEL];
    let mut missing = vec![false; screen.1];
    let mut line = vec![0; width * PIXEL];
    let mut is_damaged = width == 0;
    for y in order {
        is_damaged = is_damaged || !decoder.fill_buffer(&mut line).unwrap_or(false);
        let y = top + y;
        if y >= screen.1 {
            continue;
        }
        missing[y] = is_damaged;
        let columns = width.min(screen.0.saturating_sub(left));
        if !is_damaged && columns > 0 {
            canvas[(y * screen.0 + left) * PIXEL..][..columns * PIXEL].copy_from_slice(&line[..columns * PIXEL]);
        }
    }
    let mut converted = Vec::new();
    for (row, is_missing) in canvas.chunks_exact(screen.0 * PIXEL).zip(missing) {
        if is_missing {
            rows.push_missing(1);
            continue;
        }
        pixels::convert_row(row, Samples::RgbAlpha, alpha, &mut converted);
        rows.push(&mut converted);
    }
    rows.finish(Orientation::NoTransforms)
}

fn fault(error: &gif::DecodingError) -> ImageFault {
    match error {
        gif::DecodingError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => ImageFault::Truncated,
        _ => DAMAGED,
    }
}
