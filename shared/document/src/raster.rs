//! Decoding of PNG, JPEG, WebP and BMP, which have one page each.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read, Seek},
};

use image::{
    ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, ImageResult, Limits as DecoderLimits,
    RgbImage, metadata::Orientation,
};
use quire_tasks::{Failure, FailureCode};

use crate::{
    DocumentLimits, PageImage, downscale,
    pixels::{self, Samples},
};

/// The most bytes of the headers of a JPEG. The decoder reads its whole input into memory, while the size needs only
/// the headers. A color profile may have 255 segments of 64 KB (ICC.1, annex B.4).
const JPEG_HEADERS_BYTES: u64 = 17 << 20;

/// Returns width and height from the header.
pub(crate) fn size(file: File, format: ImageFormat, limits: &DocumentLimits) -> Result<(u32, u32), Failure> {
    let size = match format {
        ImageFormat::Jpeg => read_head(file).and_then(|head| Ok(open(head, format, limits)?.dimensions())),
        _ => open(BufReader::new(file), format, limits).map(|decoder| decoder.dimensions()),
    };
    let size = size.map_err(|error| failure(FailureCode::UnreadableDocument, limits, &error))?;
    match size {
        (0, _) | (_, 0) => Err(Failure::new(FailureCode::UnreadableDocument, "The image has no pixels.")),
        size => limits.check_pixels(size).map(|()| size),
    }
}

/// Decodes the image.
pub(crate) fn decode(file: File, format: ImageFormat, limits: &DocumentLimits) -> Result<PageImage, Failure> {
    let unreadable = |error: ImageError| failure(FailureCode::UnreadablePage, limits, &error);
    let mut decoder = open(BufReader::new(file), format, limits).map_err(unreadable)?;
    let size = decoder.dimensions();
    limits.check_pixels(size)?;
    let color = decoder.color_type();
    let Some((kind, is_wide)) = samples(color) else {
        let message = format!("The image cannot be decoded: pixels of type {color:?} are not supported.");
        return Err(Failure::new(FailureCode::UnreadablePage, message));
    };
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut bytes = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut bytes).map_err(unreadable)?;
    let bytes = if is_wide { pixels::narrow(bytes) } else { bytes };
    Ok(to_upright_page(size, pixels::to_bgr(bytes, kind), orientation))
}

/// Creates the decoder, which reads only the headers.
fn open<'a, R: BufRead + Seek + 'a>(
    reader: R,
    format: ImageFormat,
    limits: &DocumentLimits,
) -> ImageResult<impl ImageDecoder + 'a> {
    let mut reader = ImageReader::with_format(reader, format);
    let mut memory = DecoderLimits::no_limits();
    // Up to four samples of 16 bits per pixel.
    memory.max_alloc = Some(limits.max_pixels.saturating_mul(8));
    reader.limits(memory);
    reader.into_decoder()
}

fn read_head(file: File) -> ImageResult<Cursor<Vec<u8>>> {
    let mut head = Vec::new();
    file.take(JPEG_HEADERS_BYTES).read_to_end(&mut head)?;
    Ok(Cursor::new(head))
}

/// Returns the type of the samples, and whether they have 16 bits.
const fn samples(color: ColorType) -> Option<(Samples, bool)> {
    match color {
        ColorType::L8 => Some((Samples::Gray, false)),
        ColorType::La8 => Some((Samples::GrayAlpha, false)),
        ColorType::Rgb8 => Some((Samples::Rgb, false)),
        ColorType::Rgba8 => Some((Samples::RgbAlpha, false)),
        ColorType::L16 => Some((Samples::Gray, true)),
        ColorType::La16 => Some((Samples::GrayAlpha, true)),
        ColorType::Rgb16 => Some((Samples::Rgb, true)),
        ColorType::Rgba16 => Some((Samples::RgbAlpha, true)),
        _ => None,
    }
}

fn failure(code: FailureCode, limits: &DocumentLimits, error: &ImageError) -> Failure {
    match error {
        ImageError::Limits(_) => Failure::new(
            FailureCode::TooManyPixels,
            format!("The image needs more memory than an image of {} pixels, the limit.", limits.max_pixels),
        ),
        ImageError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Failure::new(code, "The image cannot be decoded: the file is truncated.")
        }
        error => Failure::new(code, format!("The image cannot be decoded: {error}.")),
    }
}

/// Downscales a large page, then turns it upright by its EXIF orientation.
pub(crate) fn to_upright_page(size: (u32, u32), bgr: Vec<u8>, orientation: Orientation) -> PageImage {
    let downscaled = downscale::downscaled_size(size);
    let bgr = if downscaled == size { bgr } else { downscale::downscale(&bgr, size, downscaled) };
    // The order of the channels does not matter for turning.
    let image = RgbImage::from_raw(downscaled.0, downscaled.1, bgr).expect("three bytes per pixel");
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    let (page_width, page_height) = if swaps_sides(orientation) { (size.1, size.0) } else { size };
    PageImage::new(width, height, image.into_bytes()).of_page(page_width, page_height)
}

const fn swaps_sides(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH)
}
