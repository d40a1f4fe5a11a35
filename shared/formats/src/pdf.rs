//! Searchable PDF: images of the pages with an invisible text layer.

use std::io::{self, Write};

use pdf_writer::{
    Chunk, Content, Filter, Finish, Name, Rect, Ref, Str, TextStr,
    types::TextRenderingMode,
    writers::{Catalog, DocumentInfo},
};
use quire_tasks::{Line, PageText, Polygon};

use crate::{
    fonts::Fonts,
    words::{line_sections, width},
};

/// PDF points per inch.
const POINTS: f32 = 72.0;
/// Height and distance, in points, of lines whose position is unknown. They are placed below each other at the left
/// edge, so that they can be searched and copied in order.
const UNPLACED_POINTS: f32 = 1.0;
/// The bytes of the second line mark the file as binary (ISO 32000-1, 7.5.2).
const HEADER: &[u8] = b"%PDF-1.7\n%\x80\x80\x80\x80\n\n";

/// A page of a [`SearchablePdf`].
#[derive(Debug, Clone, Copy)]
pub struct PdfPage<'a> {
    /// Width in pixels, in which the positions of its text are measured.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pixels per inch, which determine its size on paper.
    pub dpi: f32,
    /// Its visible content, or `None` if its document is no longer available.
    pub picture: Option<PdfImage<'a>>,
}

/// The image of a page.
#[derive(Debug, Clone, Copy)]
pub struct PdfImage<'a> {
    /// JPEG, RGB or gray.
    pub jpeg: &'a [u8],
    /// Width in pixels. It is less than that of the page if the image was downscaled.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Whether it is grayscale instead of RGB.
    pub is_gray: bool,
}

/// Writes a PDF page by page. Memory does not grow with the size of the images.
///
/// ```
/// use quire_formats::{PdfPage, SearchablePdf};
/// use quire_tasks::{Line, PageText};
///
/// let polygon = [[100.0, 100.0], [500.0, 100.0], [500.0, 140.0], [100.0, 140.0]];
/// let line = Line { text: "Invoice 7".to_owned(), confidence: Some(0.98), polygon: Some(polygon), ..Line::default() };
/// let text = PageText::from_lines("pp-ocr@6".parse()?, 1654, 2339, 0, vec![line]);
///
/// let mut pdf = SearchablePdf::new(Vec::new())?;
/// pdf.page(&PdfPage { width: 1654, height: 2339, dpi: 200.0, picture: None }, Some(&text))?;
/// let bytes = pdf.finish("invoice.pdf")?;
/// assert!(bytes.starts_with(b"%PDF-1.7"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SearchablePdf<W> {
    out: W,
    written: u64,
    /// Byte offset of each object, by its reference, which counts from 1.
    offsets: Vec<u64>,
    catalog: Ref,
    tree: Ref,
    pages: Vec<Ref>,
    fonts: Fonts,
    font_refs: Vec<Ref>,
}

impl<W> std::fmt::Debug for SearchablePdf<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SearchablePdf").field("pages", &self.pages.len()).finish_non_exhaustive()
    }
}

impl<W: Write> SearchablePdf<W> {
    /// Begins a PDF without pages.
    ///
    /// # Errors
    /// Fails with the errors of `out`.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(HEADER)?;
        Ok(Self {
            out,
            written: HEADER.len() as u64,
            offsets: vec![0; 2],
            catalog: Ref::new(1),
            tree: Ref::new(2),
            pages: Vec::new(),
            fonts: Fonts::default(),
            font_refs: Vec::new(),
        })
    }

    /// Returns the number of bytes written so far.
    pub const fn bytes(&self) -> u64 {
        self.written
    }

    /// Adds a page, with its text if it was read. A page whose text is rotated is shown upright.
    ///
    /// # Errors
    /// Fails with the errors of `out`.
    pub fn page(&mut self, layout: &PdfPage<'_>, text: Option<&PageText>) -> io::Result<()> {
        let page = self.new_ref();
        let content = self.new_ref();
        let scale = POINTS / layout.dpi.max(1.0);
        let (width, height) = (layout.width.max(1) as f32 * scale, layout.height.max(1) as f32 * scale);
        let image = match &layout.picture {
            Some(picture) => Some(self.write_image(picture)?),
            None => None,
        };
        let drawn = self.draw((width, height), scale, image.is_some(), text);
        let mut chunk = Chunk::new();
        chunk.stream(content, &drawn);
        self.write(&chunk)?;
        let mut chunk = Chunk::new();
        let mut written = chunk.page(page);
        written.parent(self.tree).media_box(Rect::new(0.0, 0.0, width, height)).contents(content);
        let rotation = text.map_or(0, |text| i32::from(text.rotation % 360));
        if rotation != 0 {
            written.rotate(rotation);
        }
        let mut resources = written.resources();
        if let Some(image) = image {
            resources.x_objects().pair(Name(b"Page"), image);
        }
        let mut fonts = resources.fonts();
        for (number, font) in self.font_refs.iter().enumerate() {
            fonts.pair(Name(&Fonts::name(number)), *font);
        }
        fonts.finish();
        resources.finish();
        written.finish();
        self.pages.push(page);
        self.write(&chunk)
    }

    /// Writes the fonts, the catalog and the cross-reference table, and returns the writer. `title` is shown by
    /// viewers.
    ///
    /// # Errors
    /// Fails with the errors of `out`.
    pub fn finish(mut self, title: &str) -> io::Result<W> {
        let fonts = std::mem::take(&mut self.fonts);
        let refs = std::mem::take(&mut self.font_refs);
        if fonts.count() > 0 {
            for chunk in fonts.chunks(|number| refs[number], || self.new_ref()) {
                self.write(&chunk)?;
            }
        }
        let mut chunk = Chunk::new();
        chunk.pages(self.tree).kids(self.pages.iter().copied()).count(self.pages.len() as i32);
        self.write(&chunk)?;
        let mut chunk = Chunk::new();
        chunk.indirect(self.catalog).start::<Catalog<'_>>().pages(self.tree);
        self.write(&chunk)?;
        let info = self.new_ref();
        let mut chunk = Chunk::new();
        let mut written = chunk.indirect(info).start::<DocumentInfo<'_>>();
        written.title(TextStr(title)).producer(TextStr("Quire"));
        written.finish();
        self.write(&chunk)?;
        self.write_cross_references(info)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn new_ref(&mut self) -> Ref {
        self.offsets.push(0);
        Ref::new(self.offsets.len() as i32)
    }

    /// Writes a chunk of one object.
    fn write(&mut self, chunk: &Chunk) -> io::Result<()> {
        for id in chunk.refs() {
            self.offsets[id.get() as usize - 1] = self.written;
        }
        self.out.write_all(chunk.as_bytes())?;
        self.written += chunk.len() as u64;
        Ok(())
    }

    /// Writes the cross-reference table (ISO 32000-1, 7.5.4) and the trailer.
    fn write_cross_references(&mut self, info: Ref) -> io::Result<()> {
        let size = self.offsets.len() + 1;
        let start = self.written;
        write!(self.out, "xref\n0 {size}\n0000000000 65535 f\r\n")?;
        for offset in &self.offsets {
            write!(self.out, "{offset:010} 00000 n\r\n")?;
        }
        let (root, info) = (self.catalog.get(), info.get());
        write!(self.out, "trailer\n<</Size {size}/Root {root} 0 R/Info {info} 0 R>>\nstartxref\n{start}\n%%EOF\n")
    }

    fn write_image(&mut self, picture: &PdfImage<'_>) -> io::Result<Ref> {
        let id = self.new_ref();
        let mut chunk = Chunk::with_capacity(picture.jpeg.len() + 1024);
        let mut image = chunk.image_xobject(id, picture.jpeg);
        image.filter(Filter::DctDecode);
        image.width(picture.width as i32).height(picture.height as i32).bits_per_component(8);
        if picture.is_gray {
            image.color_space().device_gray();
        } else {
            image.color_space().device_rgb();
        }
        image.finish();
        self.write(&chunk)?;
        Ok(id)
    }

    /// Returns the content stream: the image, and above it the invisible text.
    fn draw(&mut self, (width, height): (f32, f32), scale: f32, has_image: bool, text: Option<&PageText>) -> Vec<u8> {
        let mut content = Content::new();
        if has_image {
            content.save_state().transform([width, 0.0, 0.0, height, 0.0, 0.0]);
            content.x_object(Name(b"Page")).restore_state();
        }
        content.begin_text().set_text_rendering_mode(TextRenderingMode::Invisible);
        let lines = text.map_or(&[][..], |text| &text.lines);
        let to_points = |[x, y]: [f32; 2]| [x * scale, height - y * scale];
        for (index, line) in lines.iter().enumerate() {
            if let Some(words) = line_sections(line) {
                self.show_words(&mut content, &words, to_points);
                continue;
            }
            let matrix = match &line.polygon {
                Some(polygon) => text_matrix(polygon, &line.text, to_points),
                None => unplaced_text_matrix(index, line, height),
            };
            if let Some(matrix) = matrix {
                content.set_text_matrix(matrix);
                self.show_text(&mut content, &line.text);
            }
        }
        content.end_text();
        content.finish().to_vec()
    }

    /// Shows each word in its place, with the space behind it, so that viewers select and copy whole lines.
    fn show_words(
        &mut self,
        content: &mut Content,
        words: &[(&str, Polygon)],
        to_points: impl Fn([f32; 2]) -> [f32; 2] + Copy,
    ) {
        for (index, (word, polygon)) in words.iter().enumerate() {
            if let Some(matrix) = text_matrix(polygon, word, to_points) {
                content.set_text_matrix(matrix);
                let space = if index + 1 < words.len() { " " } else { "" };
                self.show_text(content, &format!("{word}{space}"));
            }
        }
    }

    fn show_text(&mut self, content: &mut Content, text: &str) {
        let runs = self.fonts.encode(text);
        while self.font_refs.len() < self.fonts.count() {
            let id = self.new_ref();
            self.font_refs.push(id);
        }
        for run in runs {
            content.set_font(Name(&Fonts::name(run.font)), 1.0);
            content.show(Str(&run.codes));
        }
    }
}

/// Returns the text matrix that scales a text in fonts of size 1 to its polygon, or `None` if the polygon has no area.
/// `to_points` converts pixels to PDF points.
fn text_matrix(polygon: &Polygon, text: &str, to_points: impl Fn([f32; 2]) -> [f32; 2]) -> Option<[f32; 6]> {
    let [top, _, end, start] = polygon.map(to_points);
    let length = width(text);
    let along = [(end[0] - start[0]) / length, (end[1] - start[1]) / length];
    let up = [top[0] - start[0], top[1] - start[1]];
    let area = along[0] * up[1] - along[1] * up[0];
    (area.is_finite() && area.abs() > 1e-6).then_some([along[0], along[1], up[0], up[1], start[0], start[1]])
}

/// Returns the text matrix of a line whose position is unknown, or `None` for an empty line.
fn unplaced_text_matrix(index: usize, line: &Line, height: f32) -> Option<[f32; 6]> {
    if line.text.is_empty() {
        return None;
    }
    let from_top = (index + 1) as f32 * UNPLACED_POINTS;
    Some([UNPLACED_POINTS, 0.0, 0.0, UNPLACED_POINTS, 0.0, (height - from_top).max(0.0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_matrix_starts_at_the_lower_left_corner_of_the_line() {
        let upright = [[10.0, 20.0], [210.0, 20.0], [210.0, 60.0], [10.0, 60.0]];
        let matrix = text_matrix(&upright, "ab发", |[x, y]| [x, 100.0 - y]).expect("the line has an area");
        // Width 2 scaled to 200 pixels, height 40, from (10, 40) upwards.
        let expected = [100.0, 0.0, 0.0, 40.0, 10.0, 40.0_f32];
        assert!(matrix.iter().zip(expected).all(|(found, wanted)| (found - wanted).abs() < 1e-4), "{matrix:?}");
        let point = [[10.0, 20.0]; 4];
        assert_eq!(text_matrix(&point, "ab发", |corner| corner), None);
        assert_eq!(text_matrix(&upright, "", |corner| corner), None);
    }
}
