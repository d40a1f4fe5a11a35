//! One font file: its names, its style and the characters that it has.

use std::{
    cell::OnceCell,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use ttf_parser::{cmap, name, name_id, os2};

/// The most bytes of a table that is read: those of large Chinese fonts have 500 kB.
const MAX_TABLE_BYTES: u32 = 8 << 20;
/// The most bytes of a font file: the largest Chinese collections have 120 MB.
const MAX_FONT_BYTES: u64 = 128 << 20;
/// The tag of a collection, of which the first font is used, like by pdfium (OpenType 1.9, "Font Collections").
const COLLECTION: [u8; 4] = *b"ttcf";

/// An OpenType or TrueType font.
#[derive(Debug)]
pub(super) struct FontFile {
    path: PathBuf,
    /// Its names: family, full name, PostScript name. See [`normalized`].
    names: Vec<String>,
    pub(super) style: FontStyle,
    cmap_range: (u32, u32),
    cmap: OnceCell<Vec<u8>>,
}

/// How a font differs from a regular one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FontStyle {
    /// 100 to 900; 400 is regular.
    pub(super) weight: u16,
    pub(super) is_italic: bool,
    /// 1 to 9; 5 is normal.
    width: u16,
}

impl FontStyle {
    /// Returns how much this style differs from a wanted one.
    pub(super) fn distance(self, weight: u16, is_italic: bool) -> u16 {
        let italic = if self.is_italic == is_italic { 0 } else { 10 };
        self.weight.abs_diff(weight) / 100 + italic + self.width.abs_diff(5)
    }
}

impl FontFile {
    /// Reads the names and the style of a font; `None` if it is not one.
    pub(super) fn open(path: PathBuf) -> Option<Self> {
        let mut file = File::open(&path).ok()?;
        let tables = Tables::read(&mut file).ok()?;
        let names = font_names(&tables.read_table(&mut file, *b"name")?)?;
        let os2 = tables.read_table(&mut file, *b"OS/2").unwrap_or_default();
        let style = os2::Table::parse(&os2).map_or(FontStyle { weight: 400, is_italic: false, width: 5 }, |os2| {
            let is_italic = os2.style() != os2::Style::Normal;
            FontStyle { weight: os2.weight().to_number(), is_italic, width: os2.width().to_number() }
        });
        let cmap_range = tables.range(*b"cmap")?;
        Some(Self { path, names, style, cmap_range, cmap: OnceCell::new() })
    }

    /// Returns whether it has a name, which is [`normalized`].
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name)
    }

    /// Returns whether it has a glyph for a character.
    pub(super) fn covers(&self, character: char) -> bool {
        let cmap = self.cmap.get_or_init(|| self.read_cmap().unwrap_or_default());
        let Some(table) = cmap::Table::parse(cmap) else { return false };
        let mut unicode = table.subtables.into_iter().filter(cmap::Subtable::is_unicode);
        unicode.any(|subtable| subtable.glyph_index(u32::from(character)).is_some_and(|glyph| glyph.0 != 0))
    }

    fn read_cmap(&self) -> Option<Vec<u8>> {
        read_range(&mut File::open(&self.path).ok()?, self.cmap_range).ok()
    }

    /// Returns the file.
    ///
    /// # Errors
    /// When it cannot be read or is too large.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let file = File::open(&self.path)?;
        if file.metadata()?.len() > MAX_FONT_BYTES {
            return Err(io::Error::other("the font is too large"));
        }
        let mut bytes = Vec::new();
        file.take(MAX_FONT_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Returns a font's name as it is compared: lower-case letters and digits, without the tag of a subset (`ABCDEF+`, ISO
/// 32000-1, 9.6.4).
pub(super) fn normalized(name: &str) -> String {
    let is_tag = |tag: &str| tag.len() == 6 && tag.bytes().all(|byte| byte.is_ascii_uppercase());
    let name = name.split_once('+').filter(|(tag, _)| is_tag(tag)).map_or(name, |(_, name)| name);
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn font_names(table: &[u8]) -> Option<Vec<String>> {
    const NAMES: [u16; 5] = [
        name_id::FAMILY,
        name_id::FULL_NAME,
        name_id::POST_SCRIPT_NAME,
        name_id::TYPOGRAPHIC_FAMILY,
        name_id::WWS_FAMILY,
    ];
    let table = name::Table::parse(table)?;
    let wanted = table.names.into_iter().filter(|name| NAMES.contains(&name.name_id));
    let mut names: Vec<String> = wanted.filter_map(|name| name.to_string()).map(|name| normalized(&name)).collect();
    names.sort_unstable();
    names.dedup();
    Some(names)
}

/// The table directory of a font: tag, offset and length.
struct Tables(Vec<([u8; 4], u32, u32)>);

impl Tables {
    fn read(file: &mut File) -> io::Result<Self> {
        let mut start = 0;
        let mut head = [0; 16];
        file.read_exact(&mut head)?;
        if head[..4] == COLLECTION {
            start = big_endian(&head[12..16]);
            file.seek(SeekFrom::Start(u64::from(start)))?;
            file.read_exact(&mut head)?;
        }
        let count = u16::from_be_bytes([head[4], head[5]]).min(256);
        let directory = read_range(file, (start.saturating_add(12), u32::from(count) * 16))?;
        let entry = |entry: &[u8]| {
            let tag = [entry[0], entry[1], entry[2], entry[3]];
            (tag, big_endian(&entry[8..12]), big_endian(&entry[12..16]))
        };
        Ok(Self(directory.chunks_exact(16).map(entry).collect()))
    }

    fn range(&self, tag: [u8; 4]) -> Option<(u32, u32)> {
        self.0.iter().find(|(own, ..)| *own == tag).map(|(_, offset, length)| (*offset, *length))
    }

    fn read_table(&self, file: &mut File, tag: [u8; 4]) -> Option<Vec<u8>> {
        read_range(file, self.range(tag)?).ok()
    }
}

fn read_range(file: &mut File, (offset, length): (u32, u32)) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length.min(MAX_TABLE_BYTES) as usize];
    file.seek(SeekFrom::Start(u64::from(offset)))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn big_endian(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_spaces_and_tags() {
        assert_eq!(normalized("ABCDEF+Noto Sans-Bold"), "notosansbold");
        assert_eq!(normalized("A+B"), "ab");
        assert_eq!(normalized("宋体"), "宋体");
    }

    #[test]
    fn what_is_not_a_font_is_skipped() {
        let folder = tempfile::tempdir().expect("a folder");
        for bytes in [&b""[..], b"plain text, not a font", b"ttcf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
            let path = folder.path().join("font.ttf");
            std::fs::write(&path, bytes).expect("written");
            assert!(FontFile::open(path).is_none());
        }
    }
}
