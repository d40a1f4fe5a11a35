//! Makes PDFs readable that pdfium refuses: with bytes before the header, or without an end.
//!
//! pdfium repairs a PDF whose cross-reference table is wrong, by searching for its objects. It needs a header within
//! the first 1,024 bytes and a trailer that names the catalog. Both can be had without changing the file: by a reader
//! that hides the bytes before the header, and appends what is missing.

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

/// The longest definition of a page or a catalog that is recognized.
const MAX_DICTIONARY: usize = 64 << 10;
/// The most bytes of an object's number and generation.
const MAX_ID: usize = 32;
/// The bytes that are searched at a time.
const WINDOW: usize = 1 << 20;
/// The most pages of a page tree that is made up.
const MAX_PAGES: usize = 10_000;

/// A file as pdfium can read it.
#[derive(Debug)]
pub(super) struct RepairedFile {
    file: File,
    /// The position of the header: what is before it is hidden.
    start: u64,
    /// The end of the file.
    end: u64,
    /// What follows the end.
    appended: Vec<u8>,
    /// The position from the header.
    position: u64,
}

impl RepairedFile {
    /// Returns the file from its header on, which is at `start`, with a new trailer if it is repairable.
    ///
    /// # Errors
    /// Of the file.
    pub(super) fn new(mut file: File, start: u64, needs_trailer: bool) -> io::Result<Self> {
        let end = file.seek(SeekFrom::End(0))?.max(start);
        let appended = if needs_trailer { Objects::find(&mut file, start)?.trailer() } else { String::new() };
        Ok(Self { file, start, end, appended: appended.into_bytes(), position: 0 })
    }

    fn len(&self) -> u64 {
        self.end - self.start + self.appended.len() as u64
    }
}

impl Read for RepairedFile {
    /// Fills the buffer, except at the end: pdfium's reader expects it.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let in_file = self.end - self.start;
        let from_file = usize::try_from(in_file.saturating_sub(self.position)).unwrap_or(usize::MAX).min(buffer.len());
        let (first, second) = buffer.split_at_mut(from_file);
        if !first.is_empty() {
            self.file.seek(SeekFrom::Start(self.start + self.position))?;
            self.file.read_exact(first)?;
        }
        self.position += from_file as u64;
        let skipped = usize::try_from(self.position.saturating_sub(in_file)).unwrap_or(usize::MAX);
        let read = self.appended.get(skipped..).unwrap_or_default().read(second)?;
        self.position += read as u64;
        Ok(from_file + read)
    }
}

impl Seek for RepairedFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let (base, offset) = match position {
            SeekFrom::Start(offset) => (0, i64::try_from(offset).unwrap_or(i64::MAX)),
            SeekFrom::Current(offset) => (self.position, offset),
            SeekFrom::End(offset) => (self.len(), offset),
        };
        let position = base.checked_add_signed(offset).ok_or(io::ErrorKind::InvalidInput)?;
        self.position = position;
        Ok(position)
    }
}

/// The objects that a trailer needs.
#[derive(Debug, Default, PartialEq)]
struct Objects {
    /// The number and generation of the last catalog.
    catalog: Option<(u32, u32)>,
    pages: BTreeSet<(u32, u32)>,
    largest: u32,
}

impl Objects {
    /// Finds the objects of a file whose definitions are not compressed.
    fn find(file: &mut File, start: u64) -> io::Result<Self> {
        let mut objects = Self::default();
        let mut window: Vec<u8> = Vec::with_capacity(WINDOW + MAX_DICTIONARY);
        file.seek(SeekFrom::Start(start))?;
        loop {
            let read = file.by_ref().take(WINDOW as u64).read_to_end(&mut window)?;
            let is_last = read == 0;
            let end = if is_last { window.len() } else { window.len().saturating_sub(MAX_DICTIONARY) };
            objects.search(&window, end);
            if is_last {
                return Ok(objects);
            }
            // What was searched is searched again if it is short: an object is found twice, which changes nothing.
            window.drain(..end.saturating_sub(MAX_ID));
        }
    }

    /// Adds the objects that begin before `end`. The keyword ` obj` is preceded by the number and the generation.
    fn search(&mut self, bytes: &[u8], end: usize) {
        const KEYWORD: &[u8] = b" obj";
        let found = bytes.windows(KEYWORD.len()).enumerate().take(end).filter(|(_, window)| *window == KEYWORD);
        for (at, _) in found {
            let Some(id) = object_id(&bytes[..at]) else { continue };
            self.largest = self.largest.max(id.0);
            let definition = &bytes[at + KEYWORD.len()..bytes.len().min(at + MAX_DICTIONARY)];
            match type_of(definition) {
                Some(b"Catalog") => self.catalog = Some(id),
                Some(b"Page") if self.pages.len() < MAX_PAGES => drop(self.pages.insert(id)),
                _ => {}
            }
        }
    }

    /// Returns a trailer that names the catalog; without one, also a catalog of the pages. Empty if there is nothing to
    /// show.
    fn trailer(&self) -> String {
        let mut trailer = String::new();
        let (root, generation) = match self.catalog {
            Some(catalog) => catalog,
            None if self.pages.is_empty() => return trailer,
            None => {
                let (catalog, tree) = (self.largest + 1, self.largest + 2);
                let kids: Vec<String> =
                    self.pages.iter().map(|(page, generation)| format!("{page} {generation} R")).collect();
                let (count, kids) = (kids.len(), kids.join(" "));
                let _ = write!(
                    trailer,
                    "\n{catalog} 0 obj\n<</Type/Catalog/Pages {tree} 0 R>>\nendobj\n\
                     {tree} 0 obj\n<</Type/Pages/Count {count}/Kids[{kids}]>>\nendobj\n"
                );
                (catalog, 0)
            }
        };
        let size = u64::from(self.largest) + 3;
        let _ = write!(trailer, "\ntrailer\n<</Root {root} {generation} R/Size {size}>>\nstartxref\n0\n%%EOF\n");
        trailer
    }
}

/// Returns the number and generation at the end of these bytes, e.g. of `endobj\n12 0`.
fn object_id(before: &[u8]) -> Option<(u32, u32)> {
    let (rest, generation) = number_at_end(before)?;
    let (_, number) = number_at_end(rest.strip_suffix(b" ")?)?;
    // A million objects are a PDF of 100 MB.
    (number > 0 && number < 8_388_607 && generation <= 65_535).then_some((number, generation))
}

fn number_at_end(bytes: &[u8]) -> Option<(&[u8], u32)> {
    let digits = bytes.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (rest, number) = bytes.split_at(bytes.len() - digits);
    Some((rest, str::from_utf8(number).ok()?.parse().ok()?))
}

/// Returns the value of the first `Type` of a definition, up to its end.
fn type_of(definition: &[u8]) -> Option<&[u8]> {
    const KEY: &[u8] = b"/Type";
    let end = [&b"endobj"[..], b"stream"].iter().filter_map(|word| position(definition, word)).min();
    let definition = &definition[..end.unwrap_or(definition.len())];
    let mut rest = definition;
    while let Some(at) = position(rest, KEY) {
        let value = rest[at + KEY.len()..].trim_ascii_start();
        if let Some(name) = value.strip_prefix(b"/") {
            let name = &name[..name.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count()];
            // An annotation may have its own dictionary before the page's type.
            if matches!(name, b"Catalog" | b"Page") {
                return Some(name);
            }
        }
        rest = value;
    }
    None
}

fn position(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes.windows(word.len()).position(|window| window == word)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_last_catalog_is_found() {
        let mut objects = Objects::default();
        let bytes = b"1 0 obj\n<</Type/Catalog>>\nendobj\n4 0 obj\n<< /Type /Page >>\nendobj\n\
            12 3 obj<</Pages 2 0 R /Type\n/Catalog>>endobj 7 0 obj (a/Type/Font) endobj x obj";
        objects.search(bytes, bytes.len());
        assert_eq!(objects, Objects { catalog: Some((12, 3)), pages: [(4, 0)].into(), largest: 12 });
        assert!(objects.trailer().contains("/Root 12 3 R"));
    }

    #[test]
    fn a_trailer_without_objects_is_empty() {
        assert_eq!(Objects::default().trailer(), "");
        assert_eq!(object_id(b"99999999999 0"), None);
        assert_eq!(object_id(b"a 0"), None);
    }

    #[test]
    fn objects_are_found_across_windows() {
        let mut file = tempfile::tempfile().expect("a file");
        for border in [WINDOW, WINDOW - MAX_DICTIONARY] {
            for before in 0..12 {
                file.set_len(0).expect("emptied");
                file.seek(SeekFrom::Start((border - before) as u64)).expect("a position");
                file.write_all(b"\n15 0 obj <</Type/Catalog>> endobj").expect("written");
                let objects = Objects::find(&mut file, 0).expect("readable");
                assert_eq!(objects.catalog, Some((15, 0)), "{before} bytes before {border}");
            }
        }
    }

    #[test]
    fn a_repaired_file_reads_like_a_file() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"junk%PDF-1.7\n1 0 obj\n<</Type/Catalog>>\nendobj\n").expect("written");
        let mut repaired = RepairedFile::new(file, 4, true).expect("readable");
        let mut all = String::new();
        repaired.read_to_string(&mut all).expect("text");
        assert!(all.starts_with("%PDF-1.7\n1 0 obj") && all.ends_with("%%EOF\n"), "{all}");
        assert_eq!(repaired.seek(SeekFrom::End(-6)).expect("a position"), all.len() as u64 - 6);
        let mut end = String::new();
        repaired.read_to_string(&mut end).expect("text");
        assert_eq!(end, "%%EOF\n");
        assert!(repaired.seek(SeekFrom::Current(-1000)).is_err());
    }
}
