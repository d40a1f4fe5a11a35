//! Decoding of TIFF, which may have several pages.

mod directory;
mod patched_reader;

use std::{
    fs::File,
    io::{BufReader, Read, Seek},
};

use image::metadata::Orientation;
use quire_tasks::{Failure, FailureCode};
use tiff::{
    ColorType, TiffError,
    decoder::{Decoder, Limits as DecoderLimits},
    tags::Tag,
};

use self::{
    directory::{Directory, DirectoryChain},
    patched_reader::PatchedReader,
};
use crate::{
    DocumentLimits, PageImage,
    pixels::{self, Samples},
    raster::to_upright_page,
};

/// An open TIFF with its parsed directories.
#[derive(Debug)]
pub(crate) struct TiffFile {
    file: File,
    chain: DirectoryChain,
}

impl TiffFile {
    /// Parses the directories without decoding pixels.
    pub(crate) fn open(file: File, limits: &DocumentLimits) -> Result<Self, Failure> {
        let unreadable = |why: String| Failure::new(FailureCode::UnreadableDocument, why);
        let chain = DirectoryChain::read(&mut BufReader::new(&file), limits.max_pages)
            .map_err(|error| unreadable(format!("The TIFF cannot be opened: {error}.")))?;
        if chain.pages.is_empty() {
            return Err(unreadable("The TIFF has no pages.".to_owned()));
        }
        Ok(Self { file, chain })
    }

    pub(crate) fn pages(&self) -> u32 {
        self.chain.pages.len() as u32
    }

    /// Checks the size of every page.
    pub(crate) fn check_pixels(&self, limits: &DocumentLimits) -> Result<(), Failure> {
        self.chain.pages.iter().try_for_each(|page| limits.check_pixels(page.size))
    }

    /// Decodes one page, counted from 1.
    pub(crate) fn decode(&self, page: u32, limits: &DocumentLimits) -> Result<PageImage, Failure> {
        let unreadable =
            |why: String| Failure::new(FailureCode::UnreadablePage, format!("Page {page} cannot be decoded: {why}."));
        let directory = (page as usize).checked_sub(1).and_then(|index| self.chain.pages.get(index));
        let directory = directory.ok_or_else(|| unreadable("the TIFF has no such page".to_owned()))?;
        limits.check_pixels(directory.size)?;
        self.decode_directory(directory, limits).map_err(|error| unreadable(error.to_string()))
    }

    fn decode_directory(&self, directory: &Directory, limits: &DocumentLimits) -> Result<PageImage, TiffPageError> {
        let patched = PatchedReader::new(BufReader::new(&self.file), self.chain.patches(directory))?;
        let mut decoder = Decoder::new(patched)?.with_limits(memory(limits));
        let (size, color) = (decoder.dimensions()?, decoder.colortype()?);
        let orientation = orientation(&mut decoder)?;
        let samples = read_samples(&mut decoder)?;
        let bgr = if directory.has_palette() {
            let map = decoder.get_tag_u16_vec(Tag::ColorMap)?;
            look_up_colors(&unpack_gray(samples, size, color, false)?, &map)?
        } else {
            to_bgr(samples, size, color)?
        };
        Ok(to_upright_page(size, bgr, orientation))
    }
}

/// Why a page cannot be decoded. Decision: fail the page.
#[derive(Debug, thiserror::Error)]
enum TiffPageError {
    #[error(transparent)]
    Decoder(#[from] TiffError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("pixels of type {0:?} are not supported")]
    Color(ColorType),
    #[error("separate color planes are not supported")]
    Planes,
    #[error("its palette has too few colors")]
    Palette,
}

fn memory(limits: &DocumentLimits) -> DecoderLimits {
    let mut memory = DecoderLimits::default();
    // Up to four samples of 16 bits per pixel.
    memory.decoding_buffer_size = limits.max_pixels.saturating_mul(8).try_into().unwrap_or(usize::MAX);
    memory
}

fn orientation<R: Read + Seek>(decoder: &mut Decoder<R>) -> Result<Orientation, TiffError> {
    let tag = decoder.find_tag_unsigned::<u8>(Tag::Orientation)?;
    Ok(tag.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms))
}

fn read_samples<R: Read + Seek>(decoder: &mut Decoder<R>) -> Result<Vec<u8>, TiffPageError> {
    let layout = decoder.image_buffer_layout()?;
    if layout.planes > 1 {
        return Err(TiffPageError::Planes);
    }
    let mut samples = vec![0; layout.len];
    decoder.read_image_bytes(&mut samples)?;
    Ok(samples)
}

fn to_bgr(samples: Vec<u8>, size: (u32, u32), color: ColorType) -> Result<Vec<u8>, TiffPageError> {
    let (kind, bits) = match color {
        ColorType::Gray(1..=8) => return Ok(pixels::to_bgr(unpack_gray(samples, size, color, true)?, Samples::Gray)),
        ColorType::Gray(bits) => (Samples::Gray, bits),
        ColorType::GrayA(bits) => (Samples::GrayAlpha, bits),
        ColorType::RGB(bits) => (Samples::Rgb, bits),
        ColorType::RGBA(bits) => (Samples::RgbAlpha, bits),
        ColorType::CMYK(bits) => (Samples::Cmyk, bits),
        ColorType::YCbCr(bits) => (Samples::YCbCr, bits),
        _ => return Err(TiffPageError::Color(color)),
    };
    match bits {
        8 => Ok(pixels::to_bgr(samples, kind)),
        16 => Ok(pixels::to_bgr(pixels::narrow(samples), kind)),
        _ => Err(TiffPageError::Color(color)),
    }
}

/// Unpacks gray samples of 1, 2, 4 or 8 bits to one byte each, optionally scaled to 0 to 255. Rows begin at whole
/// bytes.
fn unpack_gray(
    samples: Vec<u8>,
    (width, _): (u32, u32),
    color: ColorType,
    scaled: bool,
) -> Result<Vec<u8>, TiffPageError> {
    let bits = match color {
        ColorType::Gray(8) => return Ok(samples),
        ColorType::Gray(bits @ (1 | 2 | 4)) => usize::from(bits),
        _ => return Err(TiffPageError::Color(color)),
    };
    let width = width as usize;
    let per_byte = 8 / bits;
    let max = (1_u8 << bits) - 1;
    let factor = if scaled { 255 / max } else { 1 };
    let mut result = Vec::with_capacity(samples.len() * per_byte);
    for row in samples.chunks_exact(width.div_ceil(per_byte)) {
        let sample = |x: usize| (row[x / per_byte] >> (8 - bits * (x % per_byte + 1))) & max;
        result.extend((0..width).map(|x| sample(x) * factor));
    }
    Ok(result)
}

/// Looks up the colors of a palette: all reds, then all greens, then all blues, of 16 bits each.
fn look_up_colors(indices: &[u8], map: &[u16]) -> Result<Vec<u8>, TiffPageError> {
    let colors = map.len() / 3;
    if indices.iter().any(|index| usize::from(*index) >= colors) {
        return Err(TiffPageError::Palette);
    }
    let high = |at: usize| (map[at] >> 8) as u8;
    let bgr = |index: &u8| [2, 1, 0].map(|channel| high(channel * colors + usize::from(*index)));
    Ok(indices.iter().flat_map(bgr).collect())
}
