//! Decoding of a compressed response (`Content-Encoding`), within limits. All decoders are written in Rust.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Write},
    path::Path,
};

use brotli_decompressor::Decompressor;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// The encodings that a request accepts.
pub(crate) const ACCEPTED: &str = "gzip, deflate, br, zstd";
/// The most encodings on top of each other.
const MAX_LAYERS: usize = 2;
/// The largest window of Zstandard, in bytes (RFC 9659). It bounds the memory.
const MAX_ZSTD_WINDOW: u64 = 8 * 1024 * 1024;
const BUFFER_BYTES: usize = 64 * 1024;

/// A supported encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Why a response could not be decoded.
#[derive(Debug)]
pub(crate) enum DecodeError {
    /// It has more bytes than allowed.
    TooLarge,
    /// The file cannot be written.
    Storage(io::Error),
    /// The encoding is damaged.
    Damaged,
}

/// Returns the encodings of a response in the order in which they were applied. Error: the name of an encoding that is
/// not supported.
pub(crate) fn encodings(headers: &HeaderMap) -> Result<Vec<Encoding>, String> {
    let mut found = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let value = value.to_str().map_err(|_| "unreadable".to_owned())?;
        for name in value.split(',').map(|name| name.trim().to_ascii_lowercase()) {
            found.push(match name.as_str() {
                // S3 may keep `aws-chunked` of an upload, although it stores the decoded bytes.
                "" | "identity" | "aws-chunked" => continue,
                "gzip" | "x-gzip" => Encoding::Gzip,
                "deflate" => Encoding::Deflate,
                "br" => Encoding::Brotli,
                "zstd" => Encoding::Zstd,
                _ => return Err(name.chars().filter(char::is_ascii_graphic).take(32).collect()),
            });
        }
    }
    if found.len() > MAX_LAYERS { Err("several encodings".to_owned()) } else { Ok(found) }
}

/// Decodes a file in place and returns its number of bytes.
pub(crate) fn decode_file(path: &Path, encodings: &[Encoding], max_bytes: u64) -> Result<u64, DecodeError> {
    let encoded = path.with_extension("encoded");
    std::fs::rename(path, &encoded).map_err(DecodeError::Storage)?;
    let decoded = decode(&encoded, path, encodings, max_bytes);
    // It is in a temporary folder, which is deleted anyway.
    let _ = std::fs::remove_file(&encoded);
    decoded
}

fn decode(from: &Path, to: &Path, encodings: &[Encoding], max_bytes: u64) -> Result<u64, DecodeError> {
    let mut reader: Box<dyn BufRead> =
        Box::new(BufReader::with_capacity(BUFFER_BYTES, File::open(from).map_err(DecodeError::Storage)?));
    for encoding in encodings.iter().rev() {
        reader = Box::new(BufReader::with_capacity(BUFFER_BYTES, layer(*encoding, reader)?));
    }
    let mut writer = BufWriter::new(File::create(to).map_err(DecodeError::Storage)?);
    let mut bytes = 0;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = reader.read(&mut buffer).map_err(|_| DecodeError::Damaged)?;
        bytes += read as u64;
        if bytes > max_bytes {
            return Err(DecodeError::TooLarge);
        }
        if read == 0 {
            writer.flush().map_err(DecodeError::Storage)?;
            return Ok(bytes);
        }
        writer.write_all(&buffer[..read]).map_err(DecodeError::Storage)?;
    }
}

fn layer(encoding: Encoding, mut encoded: Box<dyn BufRead>) -> Result<Box<dyn Read>, DecodeError> {
    Ok(match encoding {
        Encoding::Gzip => Box::new(MultiGzDecoder::new(encoded)),
        // Defined with the header of zlib; some servers send it without.
        Encoding::Deflate => match encoded.fill_buf().map_err(|_| DecodeError::Damaged)? {
            [first, second, ..]
                if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)).is_multiple_of(31) =>
            {
                Box::new(ZlibDecoder::new(encoded))
            }
            _ => Box::new(DeflateDecoder::new(encoded)),
        },
        Encoding::Brotli => Box::new(Decompressor::new(encoded, BUFFER_BYTES)),
        Encoding::Zstd => Box::new(ZstdFrames { source: Some(encoded), frame: None }),
    })
}

/// Decodes all frames of Zstandard, of which a response may have several.
struct ZstdFrames {
    /// The source between two frames.
    source: Option<Box<dyn BufRead>>,
    frame: Option<StreamingDecoder<Box<dyn BufRead>, FrameDecoder>>,
}

impl Read for ZstdFrames {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(mut source) = self.source.take() {
                if source.fill_buf()?.is_empty() {
                    self.source = Some(source);
                    return Ok(0);
                }
                let frame = StreamingDecoder::new_with_max_window_size(source, MAX_ZSTD_WINDOW);
                self.frame = Some(frame.map_err(|error| io::Error::new(ErrorKind::InvalidData, error.to_string()))?);
            }
            let Some(frame) = &mut self.frame else { return Err(ErrorKind::InvalidData.into()) };
            let read = frame.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.source = self.frame.take().map(StreamingDecoder::into_inner);
        }
    }
}
