//! Decoding of JPEG XL.

use std::fs::File;

use image::metadata::Orientation;
use jxl_oxide::{AllocTracker, EnumColourEncoding, JxlImage, PixelFormat, RenderingIntent};

use super::source::read_whole;
use crate::{
    DocumentLimits, PageImage,
    image_fault::{DAMAGED, ImageFault},
    pixels::{self, Samples},
    rows::{PageRows, check_size},
    transparency::Alpha,
};

/// The most pixels: each sample takes 4 bytes and more while it is decoded.
const MAX_PIXELS: u64 = 40_000_000;
/// The most bytes of the decoder's buffers: what a child process may use beside the file and the page.
const MAX_MEMORY: usize = 700 << 20;

fn open(file: &File) -> Result<JxlImage, ImageFault> {
    let bytes = read_whole(file)?;
    let tracker = AllocTracker::with_limit(MAX_MEMORY);
    JxlImage::builder().alloc_tracker(tracker).read(bytes.as_slice()).map_err(|_| DAMAGED)
}

pub(super) fn size(file: &File) -> Result<(u32, u32), ImageFault> {
    let image = open(file)?;
    let size = (image.width(), image.height());
    check_size(size, MAX_PIXELS)?;
    Ok(size)
}

pub(super) fn decode(file: &File, limits: &DocumentLimits, alpha: Alpha) -> Result<PageImage, ImageFault> {
    let mut image = open(file)?;
    // Turned upright, as the decoder returns it.
    let size = (image.width(), image.height());
    check_size(size, MAX_PIXELS)?;
    let kind = match image.pixel_format() {
        PixelFormat::Gray => Samples::Gray,
        PixelFormat::Graya => Samples::GrayAlpha,
        PixelFormat::Rgb => Samples::Rgb,
        PixelFormat::Rgba => Samples::RgbAlpha,
        PixelFormat::Cmyk | PixelFormat::Cmyka => return Err(ImageFault::unsupported("JPEG XL images in CMYK")),
    };
    let is_gray = image.pixel_format().is_grayscale();
    let intent = RenderingIntent::Relative;
    image.request_color_encoding(if is_gray {
        EnumColourEncoding::gray_srgb(intent)
    } else {
        EnumColourEncoding::srgb(intent)
    });
    let render = match image.num_loaded_keyframes() {
        0 => return Err(ImageFault::Truncated),
        _ => image.render_frame(0).map_err(|_| DAMAGED)?,
    };
    let mut samples = vec![0_u8; size.0 as usize * size.1 as usize * kind.count()];
    let mut stream = render.stream();
    if (stream.width(), stream.height(), stream.channels() as usize) != (size.0, size.1, kind.count()) {
        return Err(DAMAGED);
    }
    stream.write_to_buffer(&mut samples);
    let mut rows = PageRows::new(size, 1.0, kind.channels(alpha), limits)?;
    let mut converted = Vec::new();
    for row in samples.chunks_exact(size.0 as usize * kind.count()) {
        pixels::convert_row(row, kind, alpha, &mut converted);
        rows.push(&mut converted);
    }
    rows.finish(Orientation::NoTransforms)
}
