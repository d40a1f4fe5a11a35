//! Searchable PDF: pages of other documents, or their images, with an invisible text layer.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use pdf_writer::{Chunk, Content, Filter, Finish, Name, Rect, Ref, TextStr, writers::DocumentInfo};
use quire_tasks::PageText;

use crate::{
    fonts::Fonts,
    own_text::OwnGlyph,
    pdf_file::{PdfFile, PdfPlace, deflate},
    pdf_image::StoredPage,
    text_layer::{Placement, TextLayer},
};

/// PDF points per inch.
const POINTS: f32 = 72.0;
/// The beginning of the fonts' names on pages without other fonts.
const FONT_PREFIX: &str = "F";

/// A page of a [`SearchablePdf`] that shows an image, or nothing.
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

/// A page that was imported from another PDF: see [`SearchablePdf::import`].
#[derive(Debug, Clone, Copy)]
pub struct ImportedPage<'a> {
    /// The number of its object.
    pub number: u32,
    /// The entries of its dictionary, except its type, parent, contents and resources.
    pub entries: &'a [u8],
    /// The entries of its resources, except fonts.
    pub resources: &'a [u8],
    /// The entries of its fonts.
    pub fonts: &'a [u8],
    /// The beginning of font names that it does not have.
    pub font_prefix: &'a str,
    /// The numbers of its content streams.
    pub contents: &'a [u32],
    /// The number of graphics states to be saved before its contents.
    pub saves: u32,
    /// Operators that restore the first graphics state after its contents.
    pub closing: &'a str,
    /// The matrix `[a, b, c, d, e, f]` that maps a position `(x, y)` in pixels of its text to
    /// `(a·x + c·y + e, b·x + d·y + f)` in its user space.
    pub matrix: [f32; 6],
    /// The text that it has: lines at the same place are not added.
    pub own_text: &'a [OwnGlyph],
}

/// Entries of dictionaries of the only document in a PDF.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceEntries {
    /// Of its catalog, except its type and its pages.
    pub catalog: Vec<u8>,
    /// Of its document information dictionary.
    pub info: Vec<u8>,
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
    file: PdfFile<W>,
    catalog: Ref,
    tree: Ref,
    pages: Vec<Ref>,
    fonts: Fonts,
    font_refs: Vec<Ref>,
    /// Content streams that save this number of graphics states.
    saves: HashMap<u32, Ref>,
    source: Option<SourceEntries>,
    appearance: Vec<u8>,
    is_version_2: bool,
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
    pub fn new(out: W) -> io::Result<Self> {
        let mut file = PdfFile::new(out)?;
        let (catalog, tree) = (file.new_ref(), file.new_ref());
        Ok(Self {
            file,
            catalog,
            tree,
            pages: Vec::new(),
            fonts: Fonts::default(),
            font_refs: Vec::new(),
            saves: HashMap::new(),
            source: None,
            appearance: Vec::new(),
            is_version_2: false,
        })
    }

    /// Returns the number of bytes written so far.
    pub const fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    /// Returns the number of the first object of the next [`SearchablePdf::import`].
    pub const fn next_number(&self) -> u32 {
        self.file.next_number()
    }

    /// Adds the objects of another PDF, whose numbers begin with [`SearchablePdf::next_number`]. Their places are
    /// relative to the bytes that `body` writes. Its pages have no place yet: they are to be added with
    /// [`SearchablePdf::imported_page`].
    ///
    /// # Errors
    /// Fails with the errors of `out` and `body`.
    pub fn import(
        &mut self,
        places: &[PdfPlace],
        body: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        self.file.import(places, body)
    }

    /// Keeps the outline, the metadata and whatever else belongs to the document that was imported, which is the only
    /// one.
    pub fn set_source(&mut self, source: SourceEntries) {
        self.source = Some(source);
    }

    /// Keeps entries of the catalog that change how pages look: layers and forms. Of several documents that were
    /// imported, one can have them.
    pub fn set_appearance(&mut self, entries: Vec<u8>) {
        self.appearance = entries;
    }

    /// Returns whether a document has set the appearance.
    pub const fn has_appearance(&self) -> bool {
        !self.appearance.is_empty()
    }

    /// Declares version 2.0 of the format, which a document that was imported has.
    pub const fn set_version_2(&mut self) {
        self.is_version_2 = true;
    }

    /// Adds a page, with its text if it was read. A page whose text is rotated is shown upright.
    ///
    /// # Errors
    /// Fails with the errors of `out`.
    pub fn page(&mut self, layout: &PdfPage<'_>, text: Option<&PageText>) -> io::Result<()> {
        let scale = POINTS / layout.dpi.max(1.0);
        let (width, height) = (layout.width.max(1) as f32 * scale, layout.height.max(1) as f32 * scale);
        let image = match &layout.picture {
            Some(picture) => Some(self.write_image(picture)?),
            None => None,
        };
        let placement =
            Placement { matrix: [scale, 0.0, 0.0, -scale, 0.0, height], font_prefix: FONT_PREFIX, own: &[] };
        let images: Vec<_> = image.into_iter().map(|image| (image, [width, 0.0, 0.0, height, 0.0, 0.0])).collect();
        let rotation = text.map_or(0, |text| i32::from(text.rotation % 360));
        self.write_page((width, height), rotation, &images, text, placement)
    }

    /// Adds a page that shows an image as its document stores it, with its text if it was read.
    ///
    /// # Errors
    /// Fails with the errors of `out` and of the image's data.
    pub fn stored_page(&mut self, page: &StoredPage<'_>, text: Option<&PageText>) -> io::Result<()> {
        let scale = POINTS / page.dpi.max(1.0);
        let (width, height) = (page.width.max(1) as f32 * scale, page.height.max(1) as f32 * scale);
        let mut images = Vec::new();
        let mut top = 0;
        for strip in page.image.strips {
            let id = self.file.new_ref();
            let entries = page.image.entries(strip);
            self.file.write_stream(id, &entries, strip.bytes, |out| (strip.write)(out))?;
            images.push((id, page.image.matrix(top, strip.rows, (width, height))));
            top += strip.rows;
        }
        let matrix = [scale, 0.0, 0.0, -scale, 0.0, height];
        self.write_page((width, height), 0, &images, text, Placement { matrix, font_prefix: FONT_PREFIX, own: &[] })
    }

    /// Writes a page with images at these places, and its text.
    fn write_page(
        &mut self,
        (width, height): (f32, f32),
        rotation: i32,
        images: &[(Ref, [f32; 6])],
        text: Option<&PageText>,
        placement: Placement<'_>,
    ) -> io::Result<()> {
        let (page, content) = (self.file.new_ref(), self.file.new_ref());
        let layer = self.text_layer(text, placement).unwrap_or_default();
        let name = |number: usize| format!("Page{number}").into_bytes();
        let mut drawn = Content::new();
        for (number, (_, matrix)) in images.iter().enumerate() {
            drawn.save_state().transform(*matrix);
            drawn.x_object(Name(&name(number))).restore_state();
        }
        let mut drawn = drawn.finish().to_vec();
        // After an operator, whose name it would continue.
        drawn.push(b'\n');
        drawn.extend_from_slice(&layer.content);
        self.write_content(content, &drawn)?;
        let mut chunk = Chunk::new();
        let mut written = chunk.page(page);
        written.parent(self.tree).media_box(Rect::new(0.0, 0.0, width, height)).contents(content);
        if rotation != 0 {
            written.rotate(rotation);
        }
        let mut resources = written.resources();
        let mut x_objects = resources.x_objects();
        for (number, (image, _)) in images.iter().enumerate() {
            x_objects.pair(Name(&name(number)), *image);
        }
        x_objects.finish();
        let mut fonts = resources.fonts();
        for number in layer.fonts {
            fonts.pair(Name(&Fonts::name(FONT_PREFIX, number)), self.font_refs[number]);
        }
        fonts.finish();
        resources.finish();
        written.finish();
        self.pages.push(page);
        self.file.write(&chunk)
    }

    /// Adds a page of a document that was imported, with its text if it was read. It looks as before.
    ///
    /// # Errors
    /// Fails with the errors of `out`.
    pub fn imported_page(&mut self, page: &ImportedPage<'_>, text: Option<&PageText>) -> io::Result<()> {
        let placement = Placement { matrix: page.matrix, font_prefix: page.font_prefix, own: page.own_text };
        let layer = self.text_layer(text, placement);
        let mut contents: Vec<i32> = page.contents.iter().map(|number| *number as i32).collect();
        let mut fonts = page.fonts.to_vec();
        if let Some(layer) = layer {
            if !contents.is_empty() {
                contents.insert(0, self.saved_states(page.saves)?.get());
            }
            let closing = if page.contents.is_empty() { "" } else { page.closing };
            let content = self.file.new_ref();
            self.write_content(content, &[closing.as_bytes(), &layer.content].concat())?;
            contents.push(content.get());
            for number in layer.fonts {
                fonts.push(b'/');
                fonts.extend_from_slice(&Fonts::name(page.font_prefix, number));
                fonts.extend_from_slice(format!(" {} 0 R", self.font_refs[number].get()).as_bytes());
            }
        }
        let contents: Vec<String> = contents.iter().map(|number| format!("{number} 0 R")).collect();
        let contents = if contents.is_empty() { String::new() } else { format!("/Contents[{}]", contents.join(" ")) };
        let begin = format!("<</Type/Page/Parent {} 0 R{contents}", self.tree.get());
        let fonts = if fonts.is_empty() { fonts } else { [b"/Font<<", &fonts[..], b">>"].concat() };
        let object = [begin.as_bytes(), page.entries, b"/Resources<<", page.resources, &fonts, b">>>>"].concat();
        let id = Ref::new(i32::try_from(page.number).unwrap_or(i32::MAX));
        self.pages.push(id);
        self.file.write_object(id, &object)
    }

    /// Writes the fonts, the catalog and the cross-references, and returns the writer. `title` is shown by viewers,
    /// unless the PDF has that of its source.
    ///
    /// # Errors
    /// Fails with the errors of `out`.
    pub fn finish(mut self, title: &str) -> io::Result<W> {
        let fonts = std::mem::take(&mut self.fonts);
        let refs = std::mem::take(&mut self.font_refs);
        if fonts.count() > 0 {
            for chunk in fonts.chunks(|number| refs[number], || self.file.new_ref()) {
                self.file.write(&chunk)?;
            }
        }
        let mut chunk = Chunk::new();
        chunk.pages(self.tree).kids(self.pages.iter().copied()).count(self.pages.len() as i32);
        self.file.write(&chunk)?;
        let info = self.file.new_ref();
        match self.source.take() {
            Some(source) => self.write_source(&source, info)?,
            None => self.write_title(title, info)?,
        }
        self.file.finish(self.catalog, info)
    }

    fn write_title(&mut self, title: &str, info: Ref) -> io::Result<()> {
        let appearance = std::mem::take(&mut self.appearance);
        self.write_catalog(&appearance)?;
        let mut chunk = Chunk::new();
        let mut written = chunk.indirect(info).start::<DocumentInfo<'_>>();
        written.title(TextStr(title)).producer(TextStr("Quire"));
        written.finish();
        self.file.write(&chunk)
    }

    fn write_source(&mut self, source: &SourceEntries, info: Ref) -> io::Result<()> {
        self.write_catalog(&source.catalog)?;
        self.file.write_object(info, &[b"<<", &source.info[..], b">>"].concat())
    }

    /// Writes the catalog with these entries beside its type and pages.
    fn write_catalog(&mut self, entries: &[u8]) -> io::Result<()> {
        let version = if self.is_version_2 { "/Version/2.0" } else { "" };
        let begin = format!("<</Type/Catalog/Pages {} 0 R{version}", self.tree.get());
        self.file.write_object(self.catalog, &[begin.as_bytes(), entries, b">>"].concat())
    }

    fn text_layer(&mut self, text: Option<&PageText>, placement: Placement<'_>) -> Option<TextLayer> {
        let layer = TextLayer::of_page(text?, placement, &mut self.fonts);
        while self.font_refs.len() < self.fonts.count() {
            let id = self.file.new_ref();
            self.font_refs.push(id);
        }
        layer
    }

    /// Returns a content stream that saves this number of graphics states.
    fn saved_states(&mut self, saves: u32) -> io::Result<Ref> {
        if let Some(id) = self.saves.get(&saves) {
            return Ok(*id);
        }
        let id = self.file.new_ref();
        self.write_content(id, "q\n".repeat(saves as usize).as_bytes())?;
        self.saves.insert(saves, id);
        Ok(id)
    }

    fn write_content(&mut self, id: Ref, content: &[u8]) -> io::Result<()> {
        let compressed = deflate(content);
        let mut chunk = Chunk::new();
        chunk.stream(id, &compressed).filter(Filter::FlateDecode);
        self.file.write(&chunk)
    }

    fn write_image(&mut self, picture: &PdfImage<'_>) -> io::Result<Ref> {
        let id = self.file.new_ref();
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
        self.file.write(&chunk)?;
        Ok(id)
    }
}
