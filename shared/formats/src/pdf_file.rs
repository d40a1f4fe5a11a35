//! Writes the objects of a PDF one after another, and the cross-references to them.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
};

use flate2::{Compression, write::ZlibEncoder};
use pdf_writer::{Chunk, Ref};

/// The bytes of the second line mark the file as binary (ISO 32000-1, 7.5.2).
const HEADER: &[u8] = b"%PDF-1.7\n%\x80\x80\x80\x80\n\n";
/// Bytes of an object's index within an object stream.
const INDEX_BYTES: usize = 4;

/// Where an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PdfPlace {
    /// Nowhere: it was not written yet.
    Unused,
    /// At this byte offset.
    At(u64),
    /// In an object stream.
    In {
        /// The number of the object stream.
        stream: u32,
        /// The index in it.
        index: u32,
    },
}

/// A PDF to which objects are appended.
pub(crate) struct PdfFile<W> {
    out: W,
    written: u64,
    /// The place of each object, by its number, which counts from 1.
    places: Vec<PdfPlace>,
}

impl<W: Write> PdfFile<W> {
    /// Writes the header.
    pub(crate) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(HEADER)?;
        Ok(Self { out, written: HEADER.len() as u64, places: Vec::new() })
    }

    /// Returns the number of bytes written so far.
    pub(crate) const fn bytes(&self) -> u64 {
        self.written
    }

    /// Returns the number that the next new object will have.
    pub(crate) const fn next_number(&self) -> u32 {
        self.places.len() as u32 + 1
    }

    /// Returns the reference of a new object.
    pub(crate) fn new_ref(&mut self) -> Ref {
        self.places.push(PdfPlace::Unused);
        Ref::new(self.places.len() as i32)
    }

    /// Writes a chunk of one object.
    pub(crate) fn write(&mut self, chunk: &Chunk) -> io::Result<()> {
        for id in chunk.refs() {
            self.places[id.get() as usize - 1] = PdfPlace::At(self.written);
        }
        self.out.write_all(chunk.as_bytes())?;
        self.written += chunk.len() as u64;
        Ok(())
    }

    /// Writes an object whose bytes are known.
    pub(crate) fn write_object(&mut self, id: Ref, object: &[u8]) -> io::Result<()> {
        if let Some(place) = self.places.get_mut(id.get() as usize - 1) {
            *place = PdfPlace::At(self.written);
        }
        let begin = format!("{} 0 obj\n", id.get());
        for bytes in [begin.as_bytes(), object, b"\nendobj\n\n"] {
            self.out.write_all(bytes)?;
            self.written += bytes.len() as u64;
        }
        Ok(())
    }

    /// Writes a stream with these entries of its dictionary, whose data is of this length.
    pub(crate) fn write_stream(
        &mut self,
        id: Ref,
        entries: &str,
        bytes: u64,
        data: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        self.places[id.get() as usize - 1] = PdfPlace::At(self.written);
        let mut counted = Counted { out: &mut self.out, written: &mut self.written };
        write!(counted, "{} 0 obj\n<<{entries}/Length {bytes}>>\nstream\n", id.get())?;
        data(&mut counted)?;
        counted.write_all(b"\nendstream\nendobj\n\n")
    }

    /// Appends objects with the next numbers, whose places are relative to the bytes that `body` writes.
    pub(crate) fn import(
        &mut self,
        places: &[PdfPlace],
        body: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let start = self.written;
        self.places.extend(places.iter().map(|place| match *place {
            PdfPlace::At(offset) => PdfPlace::At(start.saturating_add(offset)),
            place => place,
        }));
        let mut counted = Counted { out: &mut self.out, written: &mut self.written };
        body(&mut counted)
    }

    /// Writes the cross-reference stream (ISO 32000-1, 7.5.8), and returns the writer.
    pub(crate) fn finish(mut self, catalog: Ref, info: Ref) -> io::Result<W> {
        let start = self.written;
        let id = self.new_ref();
        self.places[id.get() as usize - 1] = PdfPlace::At(start);
        let size = self.places.len() + 1;
        let largest = self.places.iter().fold(start, |largest, place| match *place {
            PdfPlace::Unused => largest,
            PdfPlace::At(offset) => largest.max(offset),
            PdfPlace::In { stream, .. } => largest.max(u64::from(stream)),
        });
        let offset_bytes = size_of::<u64>() - largest.leading_zeros() as usize / 8;
        let columns = 1 + offset_bytes + INDEX_BYTES;
        let data = deflate(&self.table(offset_bytes, columns));
        let name = self.identifier();
        let (root, info, length) = (catalog.get(), info.get(), data.len());
        let table = format!("/Type/XRef/Size {size}/W[1 {offset_bytes} {INDEX_BYTES}]");
        let document = format!("/Root {root} 0 R/Info {info} 0 R/ID[<{name}><{name}>]");
        let filter = format!("/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns {columns}>>/Length {length}");
        let dict = format!("<<{table}{document}{filter}>>");
        let object = [dict.as_bytes(), b"\nstream\n", &data, b"\nendstream"].concat();
        self.write_object(id, &object)?;
        write!(self.out, "startxref\n{start}\n%%EOF\n")?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Returns the rows of the table, each as the difference from the row above (PNG's filter `Up`).
    fn table(&self, offset_bytes: usize, columns: usize) -> Vec<u8> {
        const UP: u8 = 2;
        let mut above = vec![0; columns];
        let mut table = Vec::with_capacity((columns + 1) * (self.places.len() + 1));
        for place in std::iter::once(&PdfPlace::Unused).chain(&self.places) {
            let (kind, offset, index): (u8, u64, u32) = match *place {
                PdfPlace::Unused => (0, 0, 0),
                PdfPlace::At(offset) => (1, offset, 0),
                PdfPlace::In { stream, index } => (2, u64::from(stream), index),
            };
            let mut row = vec![kind];
            row.extend_from_slice(&offset.to_be_bytes()[8 - offset_bytes..]);
            row.extend_from_slice(&index.to_be_bytes());
            table.push(UP);
            table.extend(row.iter().zip(&above).map(|(byte, above): (&u8, &u8)| byte.wrapping_sub(*above)));
            above = row;
        }
        table
    }

    /// Returns an identifier of the file, in hexadecimal digits (ISO 32000-1, 14.4).
    fn identifier(&self) -> String {
        let half = |seed: u8| {
            let mut hasher = DefaultHasher::new();
            (seed, self.written, &self.table(8, 9 + INDEX_BYTES)).hash(&mut hasher);
            hasher.finish()
        };
        format!("{:016x}{:016x}", half(0), half(1))
    }
}

/// Counts the bytes written.
struct Counted<'a, W> {
    out: &'a mut W,
    written: &'a mut u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        *self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Compresses bytes for the filter `FlateDecode`.
pub(crate) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("writing to memory cannot fail")
}
