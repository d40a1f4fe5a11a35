//! Fonts in place of those that a PDF does not contain.
//!
//! pdfium asks for them by name and character set. It has 14 fonts of its own for Latin text, and otherwise draws
//! nothing. When characters of a page are missing, a fallback with these characters is set, and the document is opened
//! again: pdfium then gets it for all fonts that are not found by their name or character set.

use std::{
    cell::OnceCell,
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pdfium_render::prelude::{
    PdfFontCharacterSet, PdfFontWeight, PdfiumCustomFontProvider, PdfiumCustomFontProviderRequest,
    PdfiumCustomFontProviderResponse,
};

use crate::fonts::FontIndex;

/// The characters that pdfium's own fonts have besides those of Latin-1 (the standard Latin character set, ISO 32000-1,
/// annex D).
const STANDARD_LATIN: &str = "ıŁłŒœŠšŸŽžƒˆˇ˘˙˚˛˜˝–—‘’‚“”„†‡•…‰‹›⁄€™−ﬁﬂ";

/// The fonts of this machine, and what pdfium got of them. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Substitutes {
    state: Arc<Mutex<State>>,
    /// Locked while a page is open: its fallback is for it alone.
    page: Arc<Mutex<()>>,
}

#[derive(Debug)]
struct State {
    folders: Vec<PathBuf>,
    /// Read at the first request: most PDFs contain their fonts.
    index: OnceCell<FontIndex>,
    /// All fonts that pdfium has got.
    provided: BTreeSet<usize>,
    fallback: Option<usize>,
    requests: u64,
}

impl Substitutes {
    pub(super) fn new(folders: Vec<PathBuf>) -> Self {
        let (index, provided) = (OnceCell::new(), BTreeSet::new());
        let state = State { folders, index, provided, fallback: None, requests: 0 };
        Self { state: Arc::new(Mutex::new(state)), page: Arc::default() }
    }

    /// Begins a page, without a fallback.
    pub(super) fn begin_page(&self) -> MutexGuard<'_, ()> {
        let page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        self.lock().fallback = None;
        page
    }

    /// Sets the fallback that has most of these characters, and returns it; `None` if there is none.
    pub(super) fn set_fallback(&self, characters: &[char]) -> Option<usize> {
        let mut state = self.lock();
        state.fallback = state.index().find_covering(characters, 400);
        state.fallback
    }

    /// Returns whether pdfium draws a character in a font for which it uses this family.
    pub(super) fn covers(&self, family: &str, character: char) -> bool {
        let state = self.lock();
        if is_standard_latin(character) || (is_symbol(family) && is_greek(character)) {
            return true;
        }
        let index = state.index();
        // For a glyph that its own fonts lack, pdfium takes the fallback, whichever font was replaced: even if it did
        // not ask for a font, because the name of the missing one is not UTF-8, e.g. in older Chinese documents.
        let has_fallback = is_builtin(family) && state.fallback.is_some_and(|font| index.has_glyph(font, character));
        has_fallback || index.covers(&state.provided, family, character)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether pdfium's own fonts have a character.
pub(super) fn is_standard_latin(character: char) -> bool {
    u32::from(character) < 0x100 || STANDARD_LATIN.contains(character)
}

/// Returns whether a family is one of pdfium's own fonts, e.g. `Chrom Sans OTF` or `Chrome Serif MM`.
fn is_builtin(family: &str) -> bool {
    family.starts_with("Chrom")
}

/// Returns whether a family is pdfium's own font in place of Symbol.
fn is_symbol(family: &str) -> bool {
    is_builtin(family) && family.contains("Symbol")
}

/// Greek letters, and the sign of ohm.
fn is_greek(character: char) -> bool {
    ('\u{391}'..='\u{3d6}').contains(&character) || character == '\u{2126}'
}

impl PdfiumCustomFontProvider for Substitutes {
    fn provide(&mut self, request: PdfiumCustomFontProviderRequest) -> Option<PdfiumCustomFontProviderResponse> {
        let mut state = self.lock();
        let font = state.find(&request)?;
        let data = state.index().read(font)?;
        state.provided.insert(font);
        state.requests += 1;
        Some(PdfiumCustomFontProviderResponse {
            // Unique: pdfium looks up the font's data by it after it has deleted another one.
            id: state.requests,
            // pdfium caches fonts by this name.
            font_face: format!("font {font}"),
            character_set: request.character_set,
            data,
        })
    }
}

impl State {
    fn index(&self) -> &FontIndex {
        self.index.get_or_init(|| FontIndex::scan(&self.folders))
    }

    fn find(&self, request: &PdfiumCustomFontProviderRequest) -> Option<usize> {
        let weight = weight(request.weight);
        let sample = sample(&request.character_set);
        if sample.is_empty() {
            // pdfium's own fonts have the widths of these.
            let is_standard = ["Helvetica", "Times", "Courier"].iter().any(|name| request.font_face.starts_with(name));
            if is_standard || matches!(request.character_set, PdfFontCharacterSet::Symbol) {
                return self.fallback;
            }
        }
        let named = self.index().find_by_name(&request.font_face, weight, request.is_italic);
        let sample: Vec<char> = sample.chars().collect();
        named.or_else(|| self.index().find_covering(&sample, weight)).or(self.fallback)
    }
}

/// Characters of a character set by which a font for it is found; none for Latin.
const fn sample(character_set: &PdfFontCharacterSet) -> &'static str {
    match character_set {
        PdfFontCharacterSet::Ansi | PdfFontCharacterSet::Default | PdfFontCharacterSet::Symbol => "",
        PdfFontCharacterSet::JapaneseShiftJis => "あカ語国",
        PdfFontCharacterSet::KoreanHangul => "한글의",
        PdfFontCharacterSet::ChineseGb2312 => "的国电发",
        PdfFontCharacterSet::ChineseBig5 => "的國電灣",
        PdfFontCharacterSet::Greek => "Ωβγάς",
        PdfFontCharacterSet::Vietnamese => "ạếơữ",
        PdfFontCharacterSet::Hebrew => "אבגד",
        PdfFontCharacterSet::Arabic => "ابتث",
        PdfFontCharacterSet::Cyrillic => "Жяї",
        PdfFontCharacterSet::Thai => "กขคง",
        PdfFontCharacterSet::EasternEuropean => "ąęčřő",
    }
}

const fn weight(weight: PdfFontWeight) -> u16 {
    match weight {
        PdfFontWeight::Weight600 | PdfFontWeight::Weight700Bold => 700,
        PdfFontWeight::Weight800 | PdfFontWeight::Weight900 => 900,
        PdfFontWeight::Custom(weight) if weight > 500 => 700,
        _ => 400,
    }
}
