//! A PDF whose pages are copied into the searchable PDF.

use std::{
    fs::File,
    io::{self, BufWriter},
    path::Path,
    sync::Arc,
};

use quire_document::{ObjectPlace, PageSpace, PdfCopy, Span};
use quire_formats::{ImportedPage, OwnGlyph, PdfPlace, SearchablePdf, SourceEntries};
use quire_tasks::PageText;

use crate::documents::source_bytes::{are_within, write_parts};

/// A searchable PDF that is being written.
pub(crate) type Pdf = SearchablePdf<BufWriter<File>>;

/// The copy of a PDF, whose objects are in the searchable PDF already. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct PdfSource {
    copy: Arc<PdfCopy>,
}

impl PdfSource {
    /// Adds the objects of a copy to a PDF; nothing if the copy is not of the file at this path. `is_only`: no other
    /// document is in the PDF.
    ///
    /// # Errors
    /// Those of the files.
    pub(crate) fn import(mut pdf: Pdf, copy: PdfCopy, path: &Path, is_only: bool) -> io::Result<(Pdf, Option<Self>)> {
        let file = File::open(path)?;
        if !are_within(&copy.body, &copy.bytes, &file)? {
            tracing::warn!("the copy of a PDF is not one of its file");
            return Ok((pdf, None));
        }
        let places: Vec<PdfPlace> = copy.places.iter().map(place).collect();
        pdf.import(&places, |out| write_parts(&copy.body, &copy.bytes, &file, out))?;
        if copy.is_version_2 {
            pdf.set_version_2();
        }
        if is_only {
            let [catalog, info] = [copy.catalog, copy.info].map(|span| span.of(&copy.bytes).to_vec());
            pdf.set_source(SourceEntries { catalog, info });
        } else if copy.appearance.bytes > 0 {
            pdf.set_appearance(copy.appearance.of(&copy.bytes).to_vec());
        }
        Ok((pdf, Some(Self { copy: Arc::new(copy) })))
    }

    /// Adds a page, counted from 1, with its text if it was read in the size of this space.
    ///
    /// # Errors
    /// Those of the PDF's file.
    pub(crate) fn add_page(
        &self,
        pdf: &mut Pdf,
        number: u32,
        space: &PageSpace,
        text: Option<&PageText>,
    ) -> io::Result<()> {
        let Some(page) = self.copy.pages.get(number as usize - 1) else {
            return Err(io::Error::other("a page is missing from the copy"));
        };
        let glyph = |glyph: &quire_document::PageGlyph| OwnGlyph { character: glyph.character, center: glyph.center };
        let own_text: Vec<OwnGlyph> = space.glyphs.iter().map(glyph).collect();
        let [entries, resources, fonts] =
            [page.entries, page.resources, page.fonts].map(|span: Span| span.of(&self.copy.bytes));
        let imported = ImportedPage {
            number: page.number,
            entries,
            resources,
            fonts,
            font_prefix: &format!("Quire{}-", page.font_prefix),
            contents: &page.contents,
            saves: page.saves,
            closing: &page.closing,
            matrix: space.matrix,
            own_text: &own_text,
        };
        // The correction of an unread page has no size and always fits.
        let has_size = |text: &&PageText| [(0, 0), (space.width, space.height)].contains(&(text.width, text.height));
        pdf.imported_page(&imported, text.filter(has_size))
    }
}

fn place(place: &ObjectPlace) -> PdfPlace {
    match *place {
        ObjectPlace::At(offset) => PdfPlace::At(offset),
        ObjectPlace::In(stream, index) => PdfPlace::In { stream, index },
        ObjectPlace::Page => PdfPlace::Unused,
    }
}
