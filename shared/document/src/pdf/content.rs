//! What is on a page, without rendering it.

use std::collections::BTreeSet;

use pdfium_render::prelude::{
    PdfMatrix, PdfPage, PdfPageImageObject, PdfPageObject, PdfPageObjectCommon, PdfPageObjectsCommon,
    PdfPageTextObject, PdfPageXObjectFormObject, PdfPathSegments,
};

use quire_tasks::MAX_FONTS;

use super::size::Detail;

/// The most objects of a page that are examined.
const MAX_OBJECTS: u32 = 20_000;
/// The deepest form `XObject`, within others, whose content is examined.
const MAX_DEPTH: u32 = 4;
/// The smallest share of the page that an image covers which determines the page's resolution: not a logo.
const MIN_IMAGE_SHARE: f64 = 0.1;
/// The fewest texts without a width that are taken for letters: pages have a few spaces in fonts of their own.
const MIN_EMPTY_TEXTS: u32 = 5;
/// The width in points below which pdfium ignores a text.
const MIN_TEXT_WIDTH: f32 = 0.01;
/// The most segments of a path that is a line, a box or an underline, and not a drawing.
const MAX_RULE_SEGMENTS: u32 = 8;
/// Points per inch (ISO 32000-1, 8.3.2.3).
const POINTS_PER_INCH: f64 = 72.0;

/// What is on a page.
#[derive(Debug, Default)]
pub(super) struct PageContent {
    pub(super) detail: Detail,
    /// The number of texts in fonts that the document does not contain.
    foreign_texts: u32,
    /// The number of these without a width: single glyphs that are not drawn, or spaces.
    empty_texts: u32,
    /// The names of their fonts.
    empty_fonts: BTreeSet<String>,
    /// The area of the image with the resolution of [`Detail::image_dpi`], in square points.
    image_area: f64,
    /// Whether there is more than text, rules and boxes.
    has_drawings: bool,
    objects: u32,
}

impl PageContent {
    /// Examines the objects of a page, and those of its form `XObject`s.
    pub(super) fn of_page(page: &PdfPage<'_>) -> Self {
        let mut content = Self::default();
        for object in page.objects().iter() {
            content.add(&object, 1.0, 0);
        }
        let page_area = f64::from(page.width().value) * f64::from(page.height().value);
        if content.image_area < page_area * MIN_IMAGE_SHARE {
            content.detail.image_dpi = None;
        }
        content
    }

    /// Adds an object, which is drawn at `scale`.
    fn add(&mut self, object: &PdfPageObject<'_>, scale: f64, depth: u32) {
        self.objects += 1;
        if self.objects > MAX_OBJECTS {
            self.has_drawings = true;
            return;
        }
        match object {
            PdfPageObject::Text(text) => self.add_text(text, scale),
            PdfPageObject::Image(image) => self.add_image(image, scale),
            PdfPageObject::XObjectForm(form) if depth < MAX_DEPTH => self.add_form(form, scale, depth),
            PdfPageObject::Path(path) => self.has_drawings |= path.segments().len() > MAX_RULE_SEGMENTS,
            _ => self.has_drawings = true,
        }
    }

    fn add_form(&mut self, form: &PdfPageXObjectFormObject<'_>, scale: f64, depth: u32) {
        let scale = scale * form.matrix().map_or(1.0, |matrix| area_factor(&matrix).sqrt());
        for index in form.as_range() {
            if self.objects > MAX_OBJECTS {
                return;
            }
            if let Ok(object) = form.get(index) {
                self.add(&object, scale, depth + 1);
            }
        }
    }

    fn add_text(&mut self, text: &PdfPageTextObject<'_>, scale: f64) {
        // The text layer of a scan.
        if !text.is_visible() {
            return;
        }
        self.add_foreign_text(text);
        let points = f64::from(text.scaled_font_size().value).abs() * scale;
        if points > 0.0 {
            let smallest = self.detail.text_points.map_or(points, |smallest| smallest.min(points));
            self.detail.text_points = Some(smallest);
        }
    }

    fn add_foreign_text(&mut self, text: &PdfPageTextObject<'_>) {
        let font = text.font();
        if font.is_embedded().unwrap_or(true) {
            return;
        }
        self.foreign_texts += 1;
        if text.width().is_ok_and(|width| width.value.abs() < MIN_TEXT_WIDTH) {
            self.empty_texts += 1;
            if self.empty_fonts.len() < MAX_FONTS {
                self.empty_fonts.insert(font.name());
            }
        }
    }

    /// Returns whether there is text in a font that the document does not contain.
    pub(super) const fn uses_foreign_fonts(&self) -> bool {
        self.foreign_texts > 0
    }

    /// Returns the names of fonts of which most glyphs are not drawn, if each is a text of its own: pdfium has no
    /// letters for such texts. Of printed text, less than half are spaces.
    pub(super) fn undrawn_fonts(&self) -> BTreeSet<String> {
        let is_undrawn = self.empty_texts >= MIN_EMPTY_TEXTS && self.empty_texts * 2 > self.foreign_texts;
        if is_undrawn { self.empty_fonts.clone() } else { BTreeSet::new() }
    }

    /// Returns whether there is more than text, rules and boxes, e.g. images.
    pub(super) const fn has_drawings(&self) -> bool {
        self.has_drawings
    }

    fn add_image(&mut self, image: &PdfPageImageObject<'_>, scale: f64) {
        self.has_drawings = true;
        let (Ok(width), Ok(height), Ok(matrix)) = (image.width(), image.height(), image.matrix()) else { return };
        // An image is drawn in the unit square.
        let area = area_factor(&matrix) * scale * scale;
        if area > self.image_area {
            self.image_area = area;
            let pixels = f64::from(width) * f64::from(height);
            self.detail.image_dpi = Some((pixels / area).sqrt() * POINTS_PER_INCH);
        }
    }
}

/// Returns by how much a matrix enlarges areas.
fn area_factor(matrix: &PdfMatrix) -> f64 {
    f64::from(matrix.determinant()).abs()
}
