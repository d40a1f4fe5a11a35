//! A PDF of pictures with their text in place: what is seen is the page, what is found and copied is the text.

use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str, TextStr, types::TextRenderingMode};
use quire_tasks::{Line, PageText, Polygon};

use crate::{fonts::Fonts, words::width};

/// Points of an inch, PDF's unit.
const POINTS: f32 = 72.0;
/// Lines whose engine gives no place stand one below the other at the page's left edge, this high and this far apart, in
/// pixels at 72 dpi: it is found and copied in the right order, and marks nothing.
const UNPLACED_POINTS: f32 = 1.0;

/// A page's picture, as it goes into the PDF.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// JPEG, RGB or gray.
    pub jpeg: &'a [u8],
    /// Its width in pixels.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
    /// Whether it is gray.
    pub is_gray: bool,
    /// Pixels of the page an inch: what the page's size on paper follows from.
    pub dpi: f32,
}

/// Writes a PDF page after page.
pub struct SearchablePdf {
    pdf: Pdf,
    last: Ref,
    tree: Ref,
    pages: Vec<Ref>,
    fonts: Fonts,
    font_refs: Vec<Ref>,
}

impl std::fmt::Debug for SearchablePdf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SearchablePdf").field("pages", &self.pages.len()).finish_non_exhaustive()
    }
}

impl Default for SearchablePdf {
    fn default() -> Self {
        Self::new()
    }
}

impl SearchablePdf {
    /// One without pages.
    pub fn new() -> Self {
        let (catalog, tree) = (Ref::new(1), Ref::new(2));
        let mut pdf = Pdf::new();
        pdf.catalog(catalog).pages(tree);
        Self { pdf, last: tree, tree, pages: Vec::new(), fonts: Fonts::default(), font_refs: Vec::new() }
    }

    /// A page: its picture, and its text, if it was read.
    pub fn page(&mut self, picture: Picture<'_>, text: Option<&PageText>) {
        let (page, image, content) = (self.new_ref(), self.new_ref(), self.new_ref());
        let scale = POINTS / picture.dpi.max(1.0);
        // The page's own pixels are not the picture's, where that was made smaller.
        let (across, down) = text.map_or((picture.width, picture.height), |text| (text.width, text.height));
        let (width, height) = (across as f32 * scale, down as f32 * scale);
        self.write_image(image, picture);
        let drawn = self.draw(width, height, scale, text);
        self.pdf.stream(content, &drawn);
        let mut written = self.pdf.page(page);
        written.parent(self.tree).media_box(Rect::new(0.0, 0.0, width, height)).contents(content);
        let mut resources = written.resources();
        resources.x_objects().pair(Name(b"Page"), image);
        let mut fonts = resources.fonts();
        for (number, font) in self.font_refs.iter().enumerate() {
            fonts.pair(Name(&Fonts::name(number)), *font);
        }
        fonts.finish();
        resources.finish();
        written.finish();
        self.pages.push(page);
    }

    /// The whole file. `title` is shown by viewers.
    pub fn finish(mut self, title: &str) -> Vec<u8> {
        let count = self.pages.len() as i32;
        self.pdf.pages(self.tree).kids(self.pages.iter().copied()).count(count);
        let info = self.new_ref();
        self.pdf.document_info(info).title(TextStr(title)).producer(TextStr("Quire"));
        let (fonts, refs) = (std::mem::take(&mut self.fonts), std::mem::take(&mut self.font_refs));
        let mut last = self.last;
        let new = || {
            last = Ref::new(last.get() + 1);
            last
        };
        if fonts.count() > 0 {
            fonts.write(&mut self.pdf, |number| refs[number], new);
        }
        self.pdf.finish()
    }

    fn new_ref(&mut self) -> Ref {
        self.last = Ref::new(self.last.get() + 1);
        self.last
    }

    fn write_image(&mut self, id: Ref, picture: Picture<'_>) {
        let mut image = self.pdf.image_xobject(id, picture.jpeg);
        image.filter(Filter::DctDecode);
        image.width(picture.width as i32).height(picture.height as i32).bits_per_component(8);
        if picture.is_gray {
            image.color_space().device_gray();
        } else {
            image.color_space().device_rgb();
        }
    }

    /// The picture, and over it the text, which is not painted.
    fn draw(&mut self, width: f32, height: f32, scale: f32, text: Option<&PageText>) -> Vec<u8> {
        let mut content = Content::new();
        content.save_state().transform([width, 0.0, 0.0, height, 0.0, 0.0]).x_object(Name(b"Page")).restore_state();
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
