//! The body of a copy: where its bytes come from.

use std::{fmt::Write as _, io::Write};

use flate2::{Compression, write::ZlibEncoder};

use super::{
    fault::CopyFault,
    pdf_copy::{BodyPart, ObjectPlace, Span},
};

/// The most objects of an object stream, as readers expect (ISO 32000-1, annex C).
const MAX_PACKED: usize = 200;
/// The bytes after which an object stream is written.
const MAX_PACKED_BYTES: usize = 256 << 10;

/// The bytes and objects that were written so far.
#[derive(Debug)]
pub(super) struct Body {
    first: u32,
    pub(super) places: Vec<ObjectPlace>,
    pub(super) parts: Vec<BodyPart>,
    pub(super) bytes: Vec<u8>,
    max_bytes: usize,
    length: u64,
    /// The objects of the next object stream.
    packed: Vec<(u32, Vec<u8>)>,
    packed_bytes: usize,
}

impl Body {
    /// Returns an empty body whose objects are numbered from `first`. Its own bytes are limited.
    pub(super) fn new(first: u32, max_bytes: usize) -> Self {
        let (places, parts, bytes, packed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { first, places, parts, bytes, max_bytes, length: 0, packed, packed_bytes: 0 }
    }

    /// Returns an unused number.
    pub(super) fn new_number(&mut self) -> u32 {
        self.places.push(ObjectPlace::Page);
        self.first + self.places.len() as u32 - 1
    }

    /// Keeps bytes that are not part of the body.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Span {
        let span = Span { start: self.bytes.len() as u64, bytes: bytes.len() as u64 };
        self.bytes.extend_from_slice(bytes);
        span
    }

    /// Adds an object that is not a stream; it may share an object stream with others.
    pub(super) fn object(&mut self, number: u32, object: Vec<u8>) -> Result<(), CopyFault> {
        self.packed_bytes += object.len();
        self.packed.push((number, object));
        if self.packed.len() >= MAX_PACKED || self.packed_bytes >= MAX_PACKED_BYTES { self.pack() } else { Ok(()) }
    }

    /// Adds a stream with this dictionary, whose data is in the source or in memory.
    pub(super) fn stream(&mut self, number: u32, dict: &[u8], data: &StreamData<'_>) -> Result<(), CopyFault> {
        self.place(number, ObjectPlace::At(self.length));
        self.write(format!("{number} 0 obj\n").as_bytes())?;
        self.write(dict)?;
        self.write(b"stream\n")?;
        match data {
            StreamData::Source(span) => {
                self.parts.push(BodyPart::Source(*span));
                self.length += span.bytes;
            }
            StreamData::Memory(data) => self.write(data)?,
        }
        self.write(b"\nendstream\nendobj\n")
    }

    /// Writes the objects that are still to be written.
    pub(super) fn pack(&mut self) -> Result<(), CopyFault> {
        if self.packed.is_empty() {
            return Ok(());
        }
        let packed = std::mem::take(&mut self.packed);
        self.packed_bytes = 0;
        let stream = self.new_number();
        let (mut index, mut objects) = (String::new(), Vec::new());
        for (place, (number, object)) in packed.iter().enumerate() {
            let _ = write!(index, "{number} {} ", objects.len());
            objects.extend_from_slice(object);
            objects.push(b'\n');
            self.place(*number, ObjectPlace::In(stream, place as u32));
        }
        let data = deflate(&[index.as_bytes(), &objects].concat());
        let dict = format!(
            "<</Type/ObjStm/N {}/First {}/Filter/FlateDecode/Length {}>>",
            packed.len(),
            index.len(),
            data.len()
        );
        self.stream(stream, dict.as_bytes(), &StreamData::Memory(&data))
    }

    fn place(&mut self, number: u32, place: ObjectPlace) {
        self.places[(number - self.first) as usize] = place;
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), CopyFault> {
        if self.bytes.len() + bytes.len() > self.max_bytes {
            return Err(CopyFault::TooLarge);
        }
        let start = self.bytes.len() as u64;
        self.bytes.extend_from_slice(bytes);
        self.length += bytes.len() as u64;
        match self.parts.last_mut() {
            Some(BodyPart::Copy(last)) if last.start + last.bytes == start => last.bytes += bytes.len() as u64,
            _ => self.parts.push(BodyPart::Copy(Span { start, bytes: bytes.len() as u64 })),
        }
        Ok(())
    }
}

/// The data of a stream.
#[derive(Debug)]
pub(super) enum StreamData<'a> {
    /// In the file of the source.
    Source(Span),
    Memory(&'a [u8]),
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("writing to memory cannot fail")
}
