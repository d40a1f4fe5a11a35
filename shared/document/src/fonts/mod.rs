//! The fonts of this machine, with which text of PDFs is drawn whose fonts they do not contain.

mod font_file;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use self::font_file::{FontFile, normalized};

/// The folders in which the operating system has its fonts.
pub const SYSTEM_FONT_FOLDERS: &[&str] =
    &["/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/X11/fonts", "/System/Library/Fonts", "/Library/Fonts"];

/// The file name extensions of fonts and of collections of fonts.
const EXTENSIONS: [&str; 4] = ["ttf", "otf", "ttc", "otc"];
/// The most folders that are searched.
const MAX_FOLDERS: usize = 1_000;
/// The most fonts.
const MAX_FONTS: usize = 10_000;

/// Scripts and characters that a font for them has.
const SCRIPTS: [(&str, &str); 10] = [
    ("Arabic", "ابتث"),
    ("Chinese", "的国這灣"),
    ("Cyrillic", "Жяїђ"),
    ("Devanagari", "अकनम"),
    ("Eastern European", "ąęčřőş"),
    ("Greek", "Ωβγάς"),
    ("Hebrew", "אבגד"),
    ("Japanese", "あカ語"),
    ("Korean", "한글의"),
    ("Thai", "กขคง"),
];

/// The fonts in some folders.
#[derive(Debug, Default)]
pub struct FontIndex {
    fonts: Vec<FontFile>,
}

impl FontIndex {
    /// Reads the names of all fonts in these folders and their subfolders. What cannot be read is left out.
    pub fn scan(folders: &[PathBuf]) -> Self {
        let mut queue: Vec<PathBuf> = folders.to_vec();
        let mut files = BTreeSet::new();
        let mut scanned = 0;
        while let Some(folder) = queue.pop() {
            scanned += 1;
            if scanned > MAX_FOLDERS || files.len() >= MAX_FONTS {
                break;
            }
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => queue.push(entry.path()),
                    Ok(_) if is_font(&entry.path()) => drop(files.insert(entry.path())),
                    _ => {}
                }
            }
        }
        Self { fonts: files.into_iter().take(MAX_FONTS).filter_map(FontFile::open).collect() }
    }

    /// Returns the number of fonts.
    pub fn len(&self) -> usize {
        self.fonts.len()
    }

    /// Returns whether there are no fonts.
    pub fn is_empty(&self) -> bool {
        self.fonts.is_empty()
    }

    /// Returns the names of common scripts that no font has.
    pub fn missing_scripts(&self) -> Vec<&'static str> {
        let is_missing = |sample: &str| !self.fonts.iter().any(|font| sample.chars().all(|c| font.covers(c)));
        SCRIPTS.iter().filter(|(_, sample)| is_missing(sample)).map(|(script, _)| *script).collect()
    }

    /// Returns the font with this name, and the most similar style if there are several.
    pub(crate) fn find_by_name(&self, name: &str, weight: u16, is_italic: bool) -> Option<usize> {
        let name = normalized(name);
        let named = self.fonts.iter().enumerate().filter(|(_, font)| font.has_name(&name));
        named.min_by_key(|(_, font)| font.style.distance(weight, is_italic)).map(|(index, _)| index)
    }

    /// Returns the font that has most of these characters, and the most similar style if there are several; `None` if
    /// none has any.
    pub(crate) fn find_covering(&self, characters: &[char], weight: u16) -> Option<usize> {
        let rated = self.fonts.iter().enumerate().map(|(index, font)| {
            let missing = characters.iter().filter(|c| !font.covers(**c)).count();
            (missing, font.style.distance(weight, false), index)
        });
        let (missing, _, index) = rated.min()?;
        (missing < characters.len()).then_some(index)
    }

    /// Returns whether one of these fonts that has the name `family` has a glyph for a character.
    pub(crate) fn covers(&self, fonts: &BTreeSet<usize>, family: &str, character: char) -> bool {
        let family = normalized(family);
        let named = fonts.iter().filter_map(|index| self.fonts.get(*index)).filter(|font| font.has_name(&family));
        named.into_iter().any(|font| font.covers(character))
    }

    /// Returns whether a font has a glyph for a character.
    pub(crate) fn has_glyph(&self, font: usize, character: char) -> bool {
        self.fonts.get(font).is_some_and(|font| font.covers(character))
    }

    /// Returns the file of a font; `None` if it cannot be read.
    pub(crate) fn read(&self, font: usize) -> Option<Vec<u8>> {
        let font = self.fonts.get(font)?;
        let read = font.read();
        read.map_err(|error| tracing::warn!(font = %font.path().display(), %error, "cannot read a font")).ok()
    }
}

fn is_font(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}
