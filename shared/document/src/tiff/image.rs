//! Decodes the image of one directory, band by band.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
};

use image::metadata::Orientation;
use zune_core::colorspace::ColorSpace;

use super::{
    chunks::Chunks,
    codec::Codec,
    directory::{Directory, TiffLayout},
    old_jpeg, samples,
    shape::{Photometric, Shape, compression},
    tags::{Tags, tag},
};
use crate::{
    DocumentLimits, PageImage,
    image_fault::{DAMAGED, ImageFault},
    pixels,
    raster::jpeg::{Colors, decode_samples},
    rows::PageRows,
    transparency::Alpha,
};

/// The start of a JPEG, and its end.
const MARKER_BYTES: usize = 2;

/// How chunks are decoded.
#[derive(Debug, Clone, Copy)]
enum Decoding {
    Codec(Codec),
    Jpeg(Colors),
}

/// An image and where it is.
struct Image<'a> {
    file: BufReader<&'a File>,
    is_big_endian: bool,
    tags: Tags,
    shape: Shape,
    chunks: Chunks,
    decoding: Decoding,
}

/// The decoded rows of a strip or tile, as they are stored.
struct Chunk {
    bytes: Vec<u8>,
    /// The rows that were decoded, from the top.
    rows: usize,
}

/// Decodes the image of a directory.
///
/// # Errors
/// Fails if nothing of it can be decoded.
pub(super) fn decode(
    file: &File,
    layout: TiffLayout,
    directory: &Directory,
    limits: &DocumentLimits,
    alpha: Alpha,
) -> Result<PageImage, ImageFault> {
    let file_bytes = file.metadata()?.len();
    let mut file = BufReader::new(file);
    let tags = Tags::read(&mut file, layout, directory.offset)?;
    let mut shape = Shape::of(&tags)?;
    crate::rows::check_size(shape.size, limits.max_pixels)?;
    let chunks = Chunks::of(&tags, &shape, file_bytes)?;
    let orientation = tags.number(tag::ORIENTATION).and_then(|value| u8::try_from(value).ok());
    let orientation = orientation.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms);
    let decoding = match shape.compression {
        compression::JPEG | compression::OLD_JPEG => Decoding::Jpeg(jpeg_colors(&mut shape)),
        other => Decoding::Codec(Codec::of(other, tags.number_or(tag::T4_OPTIONS, 0))?),
    };
    let mut image = Image { file, is_big_endian: layout.big_endian, tags, shape, chunks, decoding };
    let mut rows =
        PageRows::new(image.shape.size, image.shape.pixel_height, image.shape.kind().channels(alpha), limits)?;
    if image.shape.compression == compression::OLD_JPEG
        && let Some(jpeg) = old_jpeg::assemble(&mut image.file, &image.tags, &image.shape, &image.chunks)?
    {
        image.push_jpeg(&jpeg, alpha, &mut rows)?;
        return rows.finish(orientation);
    }
    for band in 0..image.chunks.bands {
        image.push_band(band, alpha, &mut rows)?;
    }
    rows.finish(orientation)
}

/// Returns the colors in which JPEG data is decoded: YCbCr becomes RGB in the decoder.
fn jpeg_colors(shape: &mut Shape) -> Colors {
    if shape.photometric == Photometric::YCbCr {
        shape.photometric = Photometric::Rgb;
        return Colors::Rgb;
    }
    Colors::Stored
}

impl Image<'_> {
    /// Adds the rows of an image that is one JPEG.
    fn push_jpeg(&self, jpeg: &[u8], alpha: Alpha, rows: &mut PageRows) -> Result<(), ImageFault> {
        let decoded = decode_samples(jpeg, Colors::Rgb)?;
        let samples = decoded.color.num_components();
        if decoded.size.0 != self.shape.size.0 || samples != self.shape.samples {
            return Err(DAMAGED);
        }
        let stride = decoded.size.0 as usize * samples;
        for row in decoded.samples.chunks_exact(stride).take(decoded.decoded as usize) {
            self.push_row(row.to_vec(), alpha, rows);
        }
        Ok(())
    }

    fn push_band(&mut self, band: usize, alpha: Alpha, rows: &mut PageRows) -> Result<(), ImageFault> {
        let height = self.shape.size.1;
        let band_rows = self.chunks.rows(band, height);
        let visible = band_rows.min(height - rows.pushed().min(height)) as usize;
        let mut decoded = Vec::new();
        for plane in 0..self.chunks.planes.min(self.shape.kept_samples()) {
            for column in 0..self.chunks.columns {
                decoded.push(self.chunk(plane, band, column, band_rows)?);
            }
        }
        let complete = decoded.iter().map(|chunk| chunk.rows).min().unwrap_or(0).min(visible);
        let partial = decoded.iter().map(|chunk| chunk.rows).max().unwrap_or(0).min(visible);
        let first = rows.pushed();
        let mut buffer = Vec::new();
        let vertical = self.shape.subsampling.1;
        for y in (0..partial).step_by(vertical) {
            for row in self.rows(&decoded, y, &mut buffer).into_iter().take(partial - y) {
                self.push_row(row, alpha, rows);
            }
        }
        if complete < partial {
            rows.mark_damaged(first + complete as u32..first + partial as u32);
        }
        rows.push_missing((visible - partial) as u32);
        Ok(())
    }

    /// Returns the samples of a row of all chunks of a band; of several rows if colors are subsampled.
    fn rows(&self, chunks: &[Chunk], y: usize, buffer: &mut Vec<u8>) -> Vec<Vec<u8>> {
        let Shape { bits, subsampling, .. } = self.shape;
        let width = self.shape.size.0 as usize;
        let (tile_width, row_bytes) = (self.chunks.size.0 as usize, self.chunks.row_bytes);
        let of_chunk = |chunk: &Chunk| {
            let at = y / subsampling.1 * row_bytes;
            chunk.bytes.get(at..at + row_bytes).map(<[u8]>::to_vec)
        };
        // Missing tiles beside others.
        let blank = || vec![if self.shape.photometric == Photometric::WhiteIsZero { 0 } else { 255 }; row_bytes];
        if subsampling != (1, 1) {
            let mut rows = vec![Vec::new(); subsampling.1];
            for chunk in chunks {
                let expanded = samples::expand_units(&of_chunk(chunk).unwrap_or_else(blank), subsampling, tile_width);
                rows.iter_mut().zip(expanded).for_each(|(row, part)| row.extend(part));
            }
            for row in &mut rows {
                row.truncate(width * 3);
            }
            return rows;
        }
        let planes = self.chunks.planes;
        let samples = if planes > 1 { 1 } else { self.shape.samples };
        let is_palette = self.shape.photometric == Photometric::Palette;
        let mut row = vec![0; if planes > 1 { width * planes } else { 0 }];
        for (plane, chunks) in chunks.chunks(self.chunks.columns).enumerate() {
            buffer.clear();
            for chunk in chunks {
                let stored = of_chunk(chunk).unwrap_or_else(blank);
                samples::unpack(&stored, bits, is_palette, tile_width * samples, buffer);
            }
            buffer.truncate(width * samples);
            if planes == 1 {
                return vec![std::mem::take(buffer)];
            }
            row.iter_mut().skip(plane).step_by(planes).zip(&*buffer).for_each(|(sample, value)| *sample = *value);
        }
        vec![row]
    }

    fn push_row(&self, row: Vec<u8>, alpha: Alpha, rows: &mut PageRows) {
        let row = samples::to_colors(row, &self.shape);
        let mut converted = Vec::with_capacity(row.len());
        pixels::convert_row(&row, self.shape.kind(), alpha, &mut converted);
        rows.push(&mut converted);
    }

    /// Reads and decodes a chunk of up to `rows` rows; one that is missing has none.
    fn chunk(&mut self, plane: usize, band: usize, column: usize, rows: u32) -> Result<Chunk, ImageFault> {
        let mut data = Vec::new();
        if let Some((at, length)) = self.chunks.place(plane, band, column) {
            self.file.seek(SeekFrom::Start(at))?;
            (&mut self.file).take(length).read_to_end(&mut data)?;
        }
        let bytes = match self.decoding {
            Decoding::Codec(codec) => self.decompress(codec, data, rows),
            Decoding::Jpeg(colors) => self.decode_jpeg(&data, colors),
        };
        let rows = bytes.len() / self.chunks.row_bytes.max(1) * self.shape.subsampling.1;
        Ok(Chunk { bytes, rows })
    }

    fn decompress(&self, codec: Codec, data: Vec<u8>, rows: u32) -> Vec<u8> {
        let Shape { bits, predicts, subsampling, .. } = self.shape;
        let row_bytes = self.chunks.row_bytes;
        let stored_rows = rows.div_ceil(subsampling.1 as u32);
        let mut bytes = codec.decompress(data, &self.shape, self.chunks.size.0, stored_rows, row_bytes);
        if bits > 8 && bits.is_multiple_of(8) && !self.is_big_endian {
            samples::to_big_endian(&mut bytes, bits / 8);
        }
        let samples = if self.shape.is_planar { 1 } else { self.shape.samples };
        if predicts && subsampling == (1, 1) {
            samples::undo_prediction(&mut bytes, row_bytes, bits, samples);
        }
        bytes
    }

    /// Decodes a chunk that is a JPEG, whose tables may be in a tag; returns nothing if it is damaged.
    fn decode_jpeg(&self, data: &[u8], colors: Colors) -> Vec<u8> {
        let tables = self.tags.bytes(tag::JPEG_TABLES).filter(|tables| tables.len() > 2 * MARKER_BYTES);
        let jpeg = match tables {
            Some(tables) if data.len() > MARKER_BYTES => {
                [&tables[..tables.len() - MARKER_BYTES], &data[MARKER_BYTES..]].concat()
            }
            _ => data.to_vec(),
        };
        let Ok(decoded) = decode_samples(&jpeg, colors) else { return Vec::new() };
        let samples = if self.shape.is_planar { 1 } else { self.shape.samples };
        let stride = decoded.size.0 as usize * decoded.color.num_components();
        if decoded.color.num_components() != samples || stride < self.chunks.row_bytes {
            return Vec::new();
        }
        // Adobe's programs invert the colors of CMYK.
        let is_inverted = decoded.color == ColorSpace::CMYK && jpeg.windows(5).any(|bytes| bytes == b"Adobe");
        let rows = decoded.samples.chunks_exact(stride).take(decoded.decoded as usize);
        let bytes = rows.flat_map(|row| &row[..self.chunks.row_bytes]).copied();
        if is_inverted { bytes.map(|ink| 255 - ink).collect() } else { bytes.collect() }
    }
}
