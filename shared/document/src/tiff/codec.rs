//! Decompression of strips and tiles. Damaged data is decompressed as far as possible: the result is shorter.

use std::io::Read;

use flate2::read::ZlibDecoder;
use hayro_ccitt::{DecodeSettings, Decoder, DecoderContext, EncodingMode};
use weezl::{BitOrder, LzwStatus, decode::Configuration};

use super::shape::Shape;
use crate::image_fault::ImageFault;

/// The most memory of the dictionary of LZMA, in KiB: that of its highest preset is 64 MiB.
const LZMA_MEMORY_KIB: u32 = 80 << 10;
/// Bit of `T4Options` for two-dimensional coding.
const TWO_DIMENSIONAL: u64 = 1;

/// How data is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    PackBits,
    Lzw,
    Deflate,
    Lzma,
    Zstd,
    Fax { encoding: EncodingMode, is_byte_aligned: bool },
}

impl Codec {
    /// Returns the codec of an image.
    ///
    /// # Errors
    /// Fails for a compression that is not supported.
    pub(super) fn of(compression: u64, t4_options: u64) -> Result<Self, ImageFault> {
        let fax = |encoding, is_byte_aligned| Ok(Self::Fax { encoding, is_byte_aligned });
        match compression {
            1 => Ok(Self::None),
            2 => fax(EncodingMode::Group3_1D, true),
            3 if t4_options & TWO_DIMENSIONAL == 0 => fax(EncodingMode::Group3_1D, false),
            3 => fax(EncodingMode::Group3_2D, false),
            4 => fax(EncodingMode::Group4, false),
            5 => Ok(Self::Lzw),
            8 | 32_946 => Ok(Self::Deflate),
            32_773 => Ok(Self::PackBits),
            34_925 => Ok(Self::Lzma),
            50_000 => Ok(Self::Zstd),
            34_661 | 9 | 10 => Err(ImageFault::unsupported("TIFF images compressed with JBIG")),
            33_003 | 33_004 | 33_005 | 34_712 => Err(ImageFault::unsupported("TIFF images compressed with JPEG 2000")),
            50_001 | 34_927 => Err(ImageFault::unsupported("TIFF images compressed with WebP")),
            50_002 | 52_546 => Err(ImageFault::unsupported("TIFF images compressed with JPEG XL")),
            34_887 => Err(ImageFault::unsupported("TIFF images compressed with LERC")),
            other => Err(ImageFault::unsupported(format!("TIFF images with compression {other}"))),
        }
    }

    /// Decompresses up to `rows` rows of `row_bytes`.
    pub(super) fn decompress(self, data: Vec<u8>, shape: &Shape, width: u32, rows: u32, row_bytes: usize) -> Vec<u8> {
        let wanted = row_bytes * rows as usize;
        let data = if shape.is_fill_order_reversed { reversed(data) } else { data };
        match self {
            Self::None => data,
            Self::PackBits => unpack_bits(&data, wanted),
            Self::Lzw => decompress_lzw(&data, wanted),
            Self::Deflate => read_to(ZlibDecoder::new(data.as_slice()), wanted),
            Self::Lzma => read_to(lzma_rust2::XzReader::new_mem_limit(data.as_slice(), true, LZMA_MEMORY_KIB), wanted),
            Self::Zstd => match ruzstd::decoding::StreamingDecoder::new(data.as_slice()) {
                Ok(decoder) => read_to(decoder, wanted),
                Err(_) => Vec::new(),
            },
            Self::Fax { encoding, is_byte_aligned } => {
                let settings = DecodeSettings {
                    columns: width,
                    rows,
                    end_of_block: true,
                    end_of_line: false,
                    rows_are_byte_aligned: is_byte_aligned,
                    encoding,
                    strict: false,
                };
                decode_fax(data, settings, row_bytes)
            }
        }
    }
}

/// Reverses the bits of each byte.
fn reversed(mut data: Vec<u8>) -> Vec<u8> {
    for byte in &mut data {
        *byte = byte.reverse_bits();
    }
    data
}

/// Reads up to `wanted` bytes, or up to an error.
fn read_to(mut reader: impl Read, wanted: usize) -> Vec<u8> {
    let mut result = vec![0; wanted];
    let mut filled = 0;
    while filled < wanted {
        match reader.read(&mut result[filled..]) {
            Ok(read) if read > 0 => filled += read,
            Ok(_) | Err(_) => break,
        }
    }
    result.truncate(filled);
    result
}

/// Decompresses `PackBits` (TIFF 6.0, section 9).
fn unpack_bits(mut data: &[u8], wanted: usize) -> Vec<u8> {
    let mut result = Vec::with_capacity(wanted);
    while let [count, rest @ ..] = data {
        if result.len() >= wanted {
            break;
        }
        let count = *count as i8;
        let used = match (count, rest) {
            (0.., _) => {
                let literal = &rest[..rest.len().min(count as usize + 1)];
                result.extend_from_slice(literal);
                literal.len()
            }
            (-127.., [byte, ..]) => {
                result.extend(std::iter::repeat_n(*byte, usize::from(count.unsigned_abs()) + 1));
                1
            }
            // Nothing, or the end.
            _ => 0,
        };
        data = &rest[used..];
    }
    result
}

fn decompress_lzw(data: &[u8], wanted: usize) -> Vec<u8> {
    // Writers before TIFF 6.0 stored the bits in the other order: the first code, 256, then begins with a zero.
    let is_old = matches!(data, [0, second, ..] if second & 1 == 1);
    let order = if is_old { BitOrder::Lsb } else { BitOrder::Msb };
    let configuration =
        if is_old { Configuration::new(order, 8) } else { Configuration::with_tiff_size_switch(order, 8) };
    let mut decoder = configuration.build();
    let mut result = vec![0; wanted];
    let (mut read, mut filled) = (0, 0);
    while filled < wanted {
        let step = decoder.decode_bytes(&data[read..], &mut result[filled..]);
        read += step.consumed_in;
        filled += step.consumed_out;
        let is_stuck = step.consumed_in == 0 && step.consumed_out == 0;
        if is_stuck || !matches!(step.status, Ok(LzwStatus::Ok)) {
            break;
        }
    }
    result.truncate(filled);
    result
}

/// Packs rows of black and white runs: black is 1.
struct PackedRows {
    bytes: Vec<u8>,
    row_bytes: usize,
    columns: u32,
}

impl Decoder for PackedRows {
    fn push_row(&mut self, changes: &[u32]) {
        let start = self.bytes.len();
        self.bytes.resize(start + self.row_bytes, 0);
        let row = &mut self.bytes[start..];
        for run in changes.chunks(2) {
            let end = run.get(1).copied().unwrap_or(self.columns);
            fill(row, run[0] as usize, end as usize);
        }
    }
}

/// Sets the bits from `start` to `end`, of which the highest of each byte is the first.
fn fill(row: &mut [u8], start: usize, end: usize) {
    let (first, last) = (start / 8, end / 8);
    let (from_start, to_end) = (0xff_u8 >> (start % 8), !(0xff_u8 >> (end % 8)));
    if first == last {
        if let Some(byte) = row.get_mut(first) {
            *byte |= from_start & to_end;
        }
        return;
    }
    row[first] |= from_start;
    row[first + 1..last].fill(0xff);
    if let Some(byte) = row.get_mut(last) {
        *byte |= to_end;
    }
}

/// Decodes fax data. Some writers misstate the order of the bits: if hardly any row can be decoded, the other order is
/// tried.
fn decode_fax(data: Vec<u8>, settings: DecodeSettings, row_bytes: usize) -> Vec<u8> {
    let decode = |data: &[u8]| {
        let mut rows = PackedRows { bytes: Vec::new(), row_bytes, columns: settings.columns };
        // An error ends the rows; those before it are there.
        let _ = hayro_ccitt::decode(data, &mut rows, &mut DecoderContext::new(settings));
        rows.bytes
    };
    let wanted = row_bytes * settings.rows as usize;
    let decoded = decode(&data);
    if decoded.len() * 4 >= wanted {
        return decoded;
    }
    let other = decode(&reversed(data));
    if other.len() > decoded.len() { other } else { decoded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_literals_are_unpacked() {
        // The example of the specification.
        let packed = [0xfe, 0xaa, 0x02, 0x80, 0x00, 0x2a, 0xfd, 0xaa, 0x03, 0x80, 0x00, 0x2a, 0x22, 0xf7, 0xaa];
        let unpacked = [
            0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0xaa, 0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0x22, 0xaa, 0xaa, 0xaa, 0xaa,
            0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
        ];
        assert_eq!(unpack_bits(&packed, 24), unpacked);
    }

    #[test]
    fn runs_of_black_are_set_bit_by_bit() {
        let mut rows = PackedRows { bytes: Vec::new(), row_bytes: 3, columns: 20 };
        rows.push_row(&[1, 3, 6, 18]);
        rows.push_row(&[19]);
        rows.push_row(&[]);
        rows.push_row(&[0, 8, 16]);
        let expected = [0b0110_0011, 0xff, 0b1100_0000, 0, 0, 0b0001_0000, 0, 0, 0, 0xff, 0, 0b1111_0000];
        assert_eq!(rows.bytes, expected);
    }

    #[test]
    fn truncated_data_is_decompressed_as_far_as_it_goes() {
        let data: Vec<u8> = (0..4_000_u32).flat_map(|n| (n * n).to_le_bytes()).collect();
        let lzw = weezl::encode::Configuration::with_tiff_size_switch(BitOrder::Msb, 8).build().encode(&data);
        let lzw = lzw.expect("encodes");
        assert_eq!(decompress_lzw(&lzw, data.len()), data);
        let half = decompress_lzw(&lzw[..lzw.len() / 2], data.len());
        assert!(half.len() > data.len() / 3 && data.starts_with(&half), "{}", half.len());
    }
}
