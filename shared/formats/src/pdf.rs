//! A PDF of pictures with their text in place: what is seen is the page, what is found and copied is the text.

use std::io::{self, Write};

use pdf_writer::{
    Chunk, Content, Filter, Finish, Name, Rect, Ref, Str, TextStr,
    types::TextRenderingMode,
    writers::{Catalog, DocumentInfo},
};
use quire_tasks::{Line, PageText, Polygon};

use crate::{fonts::Fonts, words::width};

/// Points of an inch, PDF's unit.
const POINTS: f32 = 72.0;
/// Lines whose engine gives no place stand one below the other at the page's left edge, this high and this far apart, in
/// pixels at 72 dpi: it is found and copied in the right order, and marks nothing.
const UNPLACED_POINTS: f32 = 1.0;
/// The second line says to those who guess by the first bytes that it is no text.
const HEADER: &[u8] = b"%PDF-1.7\n%\x80\x80\x80\x80\n\n";

/// A page as it is seen.
#[derive(Debug, Clone, Copy)]
pub struct Sheet<'a> {
    /// Its width in pixels: the frame of its text.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
    /// Pixels of the page an inch: what its size on paper follows from.
    pub dpi: f32,
    /// What is seen on it; nothing, where its document no longer gives it.
    pub picture: Option<Picture<'a>>,
}

/// A page's picture, as it goes into the PDF.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// JPEG, RGB or gray.
    pub jpeg: &'a [u8],
    /// Its width in pixels, fewer than the page's where that was made smaller.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
    /// Whether it is gray.
    pub is_gray: bool,
}

/// Writes a PDF page after page: what it has written it need not hold.
pub struct SearchablePdf<W> {
    out: W,
    written: u64,
    /// Where each object begins, by its reference, from 1.
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
    /// One without pages, written to `out` from its beginning.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(HEADER)?;
        let (catalog, tree) = (Ref::new(1), Ref::new(2));
        let (pages, fonts, font_refs) = (Vec::new(), Fonts::default(), Vec::new());
        let (written, offsets) = (HEADER.len() as u64, vec![0; 2]);
        Ok(Self { out, written, offsets, catalog, tree, pages, fonts, font_refs })
    }

    /// How many bytes it has so far.
    pub const fn bytes(&self) -> u64 {
        self.written
    }

    /// A page, and its text, if it was read. One that was read turned is shown upright.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn page(&mut self, sheet: &Sheet<'_>, text: Option<&PageText>) -> io::Result<()> {
        let (page, content) = (self.new_ref(), self.new_ref());
        let scale = POINTS / sheet.dpi.max(1.0);
        let (width, height) = (sheet.width.max(1) as f32 * scale, sheet.height.max(1) as f32 * scale);
        let image = match &sheet.picture {
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
        if let Some(turned) = text.map(|text| i32::from(text.rotation % 360)).filter(|turned| *turned != 0) {
            written.rotate(turned);
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

    /// Writes the rest. `title` is shown by viewers.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(mut self, title: &str) -> io::Result<W> {
        let (fonts, refs) = (std::mem::take(&mut self.fonts), std::mem::take(&mut self.font_refs));
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
        let (info, mut chunk) = (self.new_ref(), Chunk::new());
        let mut written = chunk.indirect(info).start::<DocumentInfo<'_>>();
        written.title(TextStr(title)).producer(TextStr("Quire"));
        written.finish();
        self.write(&chunk)?;
        self.write_table(info)?;
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

    /// Where every object is (ISO 32000-1, 7.5.4), and where to begin.
    fn write_table(&mut self, info: Ref) -> io::Result<()> {
        let (size, start) = (self.offsets.len() + 1, self.written);
        write!(self.out, "xref\n0 {size}\n0000000000 65535 f\r\n")?;
        for offset in &self.offsets {
            write!(self.out, "{offset:010} 00000 n\r\n")?;
        }
        let (root, info) = (self.catalog.get(), info.get());
        write!(self.out, "trailer\n<</Size {size}/Root {root} 0 R/Info {info} 0 R>>\nstartxref\n{start}\n%%EOF\n")
    }

    fn write_image(&mut self, picture: &Picture<'_>) -> io::Result<Ref> {
        let (id, mut chunk) = (self.new_ref(), Chunk::with_capacity(picture.jpeg.len() + 1024));
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

    /// The picture, and over it the text, which is not painted.
    fn draw(&mut self, (width, height): (f32, f32), scale: f32, pictured: bool, text: Option<&PageText>) -> Vec<u8> {
        let mut content = Content::new();
        if pictured {
            content.save_state().transform([width, 0.0, 0.0, height, 0.0, 0.0]);
            content.x_object(Name(b"Page")).restore_state();
        }
        content.begin_text().set_text_rendering_mode(TextRenderingMode::Invisible);
        let lines = text.map_or(&[][..], |text| &text.lines);
        for (index, line) in lines.iter().enumerate() {
            let placed = line.polygon.map_or_else(
                || unplaced(index, line, height),
                |polygon| place(&polygon, line, |[x, y]| [x * scale, height - y * scale]),
            );
            if let Some(matrix) = placed {
                content.set_text_matrix(matrix);
                self.show(&mut content, &line.text);
            }
        }
        content.end_text();
        content.finish().to_vec()
    }

    fn show(&mut self, content: &mut Content, text: &str) {
        let runs = self.fonts.runs(text);
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

/// The matrix that brings a line of our fonts, one high, between its lower corners. None for a line without extent.
fn place(polygon: &Polygon, line: &Line, point: impl Fn([f32; 2]) -> [f32; 2]) -> Option<[f32; 6]> {
    let [_, _, end, start] = polygon.map(&point);
    let top = point(polygon[0]);
    let length = width(&line.text);
    let along = [(end[0] - start[0]) / length, (end[1] - start[1]) / length];
    let up = [top[0] - start[0], top[1] - start[1]];
    let area = along[0] * up[1] - along[1] * up[0];
    (area.is_finite() && area.abs() > 1e-6).then_some([along[0], along[1], up[0], up[1], start[0], start[1]])
}

fn unplaced(index: usize, line: &Line, height: f32) -> Option<[f32; 6]> {
    let down = (index + 1) as f32 * UNPLACED_POINTS;
    let size = UNPLACED_POINTS;
    (!line.text.is_empty()).then_some([size, 0.0, 0.0, size, 0.0, (height - down).max(0.0)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain::tests::line;

    #[test]
    fn a_line_lies_between_its_lower_corners() {
        let line = line("ab发", 0.9, [[0.0; 2]; 4]);
        let upright = [[10.0, 20.0], [210.0, 20.0], [210.0, 60.0], [10.0, 60.0]];
        let matrix = place(&upright, &line, |[x, y]| [x, 100.0 - y]).expect("it has an extent");
        // Two wide, 200 long: 100 a unit; 40 high; from (10, 40) upwards.
        let expected = [100.0, 0.0, 0.0, 40.0, 10.0, 40.0_f32];
        assert!(matrix.iter().zip(expected).all(|(found, wanted)| (found - wanted).abs() < 1e-4), "{matrix:?}");
        let nothing = [[10.0, 20.0]; 4];
        assert_eq!(place(&nothing, &line, |corner| corner), None);
        let empty = Line { text: String::new(), ..line };
        assert_eq!(place(&upright, &empty, |corner| corner), None);
    }
}
