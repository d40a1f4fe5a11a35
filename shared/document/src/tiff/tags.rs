//! Reads the values of a directory's tags (TIFF 6.0, section 2), tolerating wrong types and counts.

use std::{
    collections::HashMap,
    io::{self, Read, Seek, SeekFrom},
};

use super::directory::{TiffLayout, read_entries};

/// The most bytes of the values of a tag: the offsets of 2 million strips, or the tables of a JPEG.
const MAX_VALUE_BYTES: u64 = 16 << 20;
const RATIONAL: u64 = 5;

/// Numbers of tags (TIFF 6.0, appendix A, and its supplements).
pub(super) mod tag {
    pub(in crate::tiff) const IMAGE_WIDTH: u16 = 256;
    pub(in crate::tiff) const IMAGE_LENGTH: u16 = 257;
    pub(in crate::tiff) const BITS_PER_SAMPLE: u16 = 258;
    pub(in crate::tiff) const COMPRESSION: u16 = 259;
    pub(in crate::tiff) const PHOTOMETRIC: u16 = 262;
    pub(in crate::tiff) const FILL_ORDER: u16 = 266;
    pub(in crate::tiff) const STRIP_OFFSETS: u16 = 273;
    pub(in crate::tiff) const ORIENTATION: u16 = 274;
    pub(in crate::tiff) const SAMPLES_PER_PIXEL: u16 = 277;
    pub(in crate::tiff) const ROWS_PER_STRIP: u16 = 278;
    pub(in crate::tiff) const STRIP_BYTE_COUNTS: u16 = 279;
    pub(in crate::tiff) const X_RESOLUTION: u16 = 282;
    pub(in crate::tiff) const Y_RESOLUTION: u16 = 283;
    pub(in crate::tiff) const PLANAR_CONFIGURATION: u16 = 284;
    pub(in crate::tiff) const T4_OPTIONS: u16 = 292;
    pub(in crate::tiff) const PREDICTOR: u16 = 317;
    pub(in crate::tiff) const COLOR_MAP: u16 = 320;
    pub(in crate::tiff) const TILE_WIDTH: u16 = 322;
    pub(in crate::tiff) const TILE_LENGTH: u16 = 323;
    pub(in crate::tiff) const TILE_OFFSETS: u16 = 324;
    pub(in crate::tiff) const TILE_BYTE_COUNTS: u16 = 325;
    pub(in crate::tiff) const INK_SET: u16 = 332;
    pub(in crate::tiff) const EXTRA_SAMPLES: u16 = 338;
    pub(in crate::tiff) const SAMPLE_FORMAT: u16 = 339;
    pub(in crate::tiff) const JPEG_TABLES: u16 = 347;
    pub(in crate::tiff) const JPEG_STREAM: u16 = 513;
    pub(in crate::tiff) const JPEG_STREAM_BYTES: u16 = 514;
    pub(in crate::tiff) const JPEG_RESTART_INTERVAL: u16 = 515;
    pub(in crate::tiff) const JPEG_QUANTIZATION_TABLES: u16 = 519;
    pub(in crate::tiff) const JPEG_DC_TABLES: u16 = 520;
    pub(in crate::tiff) const JPEG_AC_TABLES: u16 = 521;
    pub(in crate::tiff) const SUBSAMPLING: u16 = 530;
    pub(in crate::tiff) const REFERENCE_BLACK_WHITE: u16 = 532;

    /// All of them.
    pub(super) const KNOWN: [u16; 33] = [
        IMAGE_WIDTH,
        IMAGE_LENGTH,
        BITS_PER_SAMPLE,
        COMPRESSION,
        PHOTOMETRIC,
        FILL_ORDER,
        STRIP_OFFSETS,
        ORIENTATION,
        SAMPLES_PER_PIXEL,
        ROWS_PER_STRIP,
        STRIP_BYTE_COUNTS,
        X_RESOLUTION,
        Y_RESOLUTION,
        PLANAR_CONFIGURATION,
        T4_OPTIONS,
        PREDICTOR,
        COLOR_MAP,
        TILE_WIDTH,
        TILE_LENGTH,
        TILE_OFFSETS,
        TILE_BYTE_COUNTS,
        INK_SET,
        EXTRA_SAMPLES,
        SAMPLE_FORMAT,
        JPEG_TABLES,
        JPEG_STREAM,
        JPEG_STREAM_BYTES,
        JPEG_RESTART_INTERVAL,
        JPEG_QUANTIZATION_TABLES,
        JPEG_DC_TABLES,
        JPEG_AC_TABLES,
        SUBSAMPLING,
        REFERENCE_BLACK_WHITE,
    ];
}

/// The values of the known tags.
#[derive(Debug, Default)]
pub(super) struct Tags(HashMap<u16, Values>);

#[derive(Debug)]
struct Values {
    bytes: Vec<u8>,
    numbers: Vec<u64>,
}

impl Tags {
    /// Reads the values of the directory at `offset`. A value that is beyond the end of the file is missing.
    ///
    /// # Errors
    /// Fails if the entries cannot be read.
    pub(super) fn read(file: &mut (impl Read + Seek), layout: TiffLayout, offset: u64) -> io::Result<Self> {
        let (entries, _) = read_entries(file, layout, offset)?;
        let mut tags = Self::default();
        for entry in entries.chunks_exact(layout.entry_bytes()) {
            let number = layout.parse_number(&entry[..2]) as u16;
            if !tag::KNOWN.contains(&number) {
                continue;
            }
            if let Some(values) = read_values(file, layout, entry) {
                tags.0.entry(number).or_insert(values);
            }
        }
        Ok(tags)
    }

    /// Returns the first value.
    pub(super) fn number(&self, tag: u16) -> Option<u64> {
        self.numbers(tag).first().copied()
    }

    /// Returns the first value, or the default of the format.
    pub(super) fn number_or(&self, tag: u16, default: u64) -> u64 {
        self.number(tag).unwrap_or(default)
    }

    /// Returns all values, none if the tag is missing.
    pub(super) fn numbers(&self, tag: u16) -> &[u64] {
        self.0.get(&tag).map_or(&[], |values| values.numbers.as_slice())
    }

    /// Returns the values as bytes.
    pub(super) fn bytes(&self, tag: u16) -> Option<&[u8]> {
        self.0.get(&tag).map(|values| values.bytes.as_slice())
    }

    /// Returns fractions; none if a denominator is 0.
    pub(super) fn fractions(&self, tag: u16) -> Vec<f64> {
        let pairs = self.numbers(tag).as_chunks::<2>().0;
        pairs.iter().filter(|pair| pair[1] != 0).map(|pair| pair[0] as f64 / pair[1] as f64).collect()
    }
}

fn read_values(file: &mut (impl Read + Seek), layout: TiffLayout, entry: &[u8]) -> Option<Values> {
    let kind = layout.parse_number(&entry[2..4]);
    let size = match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        RATIONAL | 10 | 12 | 16 | 17 | 18 => 8,
        _ => return None,
    };
    let value_at = layout.entry_bytes() - layout.offset_bytes();
    let length = layout.parse_number(&entry[4..value_at]).checked_mul(size)?;
    let bytes = if length <= layout.offset_bytes() as u64 {
        entry[value_at..][..length as usize].to_vec()
    } else {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(layout.parse_number(&entry[value_at..]))).ok()?;
        file.take(length.min(MAX_VALUE_BYTES)).read_to_end(&mut bytes).ok()?;
        bytes
    };
    // A fraction is two numbers.
    let number_bytes = if matches!(kind, RATIONAL | 10) { 4 } else { size as usize };
    let numbers = bytes.chunks_exact(number_bytes).map(|number| layout.parse_number(number)).collect();
    Some(Values { bytes, numbers })
}
