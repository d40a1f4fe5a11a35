//! PNG, JPEG, WebP and BMP: one page each.

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
    Limits, PageImage,
    pixels::{self, Samples},
    reduce,
};

/// The JPEG decoder takes its whole input into memory, where a check wants the headers only. Profiles and previews come
/// in segments of 64 KB, of which a color profile may use 255.
const JPEG_HEADERS_BYTES: u64 = 17 << 20;

/// Width and height, by the header.
pub(crate) fn size(file: File, format: ImageFormat, limits: &Limits) -> Result<(u32, u32), Failure> {
    let size = match format {
        ImageFormat::Jpeg => beginning(file).and_then(|head| Ok(open(head, format, limits)?.dimensions())),
        _ => open(BufReader::new(file), format, limits).map(|decoder| decoder.dimensions()),
    };
    let size = size.map_err(|error| failure(FailureCode::UnreadableDocument, limits, &error))?;
    match size {
        (0, _) | (_, 0) => Err(Failure::new(FailureCode::UnreadableDocument, "The image has no pixels.")),
        size => limits.check_pixels(size).map(|()| size),
    }
}

/// The whole image.
pub(crate) fn decode(file: File, format: ImageFormat, limits: &Limits) -> Result<PageImage, Failure> {
    let unreadable = |error: ImageError| failure(FailureCode::UnreadablePage, limits, &error);
    let mut decoder = open(BufReader::new(file), format, limits).map_err(unreadable)?;
    let size = decoder.dimensions();
    limits.check_pixels(size)?;
    let color = decoder.color_type();
    let Some((kind, wide)) = samples(color) else {
        let message = format!("The image cannot be decoded: pixels of the kind {color:?} are not supported.");
        return Err(Failure::new(FailureCode::UnreadablePage, message));
    };
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut bytes = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut bytes).map_err(unreadable)?;
    let bytes = if wide { pixels::narrow(bytes) } else { bytes };
    Ok(upright(size, pixels::to_bgr(bytes, kind), orientation))
}

/// What the decoder makes of the bytes, headers only.
fn open<'a, R: BufRead + Seek + 'a>(
    reader: R,
    format: ImageFormat,
    limits: &Limits,
) -> ImageResult<impl ImageDecoder + 'a> {
    let mut reader = ImageReader::with_format(reader, format);
    let mut memory = DecoderLimits::no_limits();
    // Four samples of 16 bits.
    memory.max_alloc = Some(limits.max_pixels.saturating_mul(8));
    reader.limits(memory);
    reader.into_decoder()
}

fn beginning(file: File) -> ImageResult<Cursor<Vec<u8>>> {
    let mut head = Vec::new();
    file.take(JPEG_HEADERS_BYTES).read_to_end(&mut head)?;
    Ok(Cursor::new(head))
}

/// The kind of samples, and whether they have 16 bits.
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

fn failure(code: FailureCode, limits: &Limits, error: &ImageError) -> Failure {
    match error {
        ImageError::Limits(_) => Failure::new(
            FailureCode::TooManyPixels,
            format!("The image needs more memory than {} pixels, the most that are taken.", limits.max_pixels),
        ),
        ImageError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Failure::new(code, "The image cannot be decoded: it ends too early.")
        }
        error => Failure::new(code, format!("The image cannot be decoded: {error}.")),
    }
}

/// The page as it is to be read: reduced when it is large, then turned as its EXIF says.
pub(crate) fn upright(size: (u32, u32), bgr: Vec<u8>, orientation: Orientation) -> PageImage {
    let reduced = reduce::reduced(size);
    let bgr = if reduced == size { bgr } else { reduce::average(&bgr, size, reduced) };
    // Which channel is which does not matter for turning.
    let picture = RgbImage::from_raw(reduced.0, reduced.1, bgr).expect("three bytes a pixel");
    let mut picture = DynamicImage::ImageRgb8(picture);
    picture.apply_orientation(orientation);
    let (width, height) = (picture.width(), picture.height());
    let (page_width, page_height) = if turns_on_its_side(orientation) { (size.1, size.0) } else { size };
    PageImage::new(width, height, picture.into_bytes()).of_page(page_width, page_height)
}

const fn turns_on_its_side(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH)
}
