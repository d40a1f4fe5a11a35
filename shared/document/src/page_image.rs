//! The decoded image of a page, the input of the engines.

use quire_tasks::Warning;

use crate::TextLayer;

/// The decoded image of a page: blue, green and red, one byte each, in rows from the top without padding. It is turned
/// upright by its EXIF orientation, and transparent pixels are white.
#[derive(Clone, PartialEq)]
pub struct PageImage {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
    page_width: u32,
    page_height: u32,
    warnings: Vec<Warning>,
    text_layer: Option<TextLayer>,
}

impl PageImage {
    /// Bytes per pixel.
    pub const CHANNELS: usize = 3;

    /// Creates an image in the original size of its page.
    ///
    /// # Panics
    /// Panics if `pixels` is not `width` × `height` × 3 bytes long, or empty.
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Self {
        assert!(width > 0 && height > 0, "a page must have pixels");
        let bytes = width as usize * height as usize * Self::CHANNELS;
        assert_eq!(pixels.len(), bytes, "{width} × {height} pixels of {} bytes", Self::CHANNELS);
        Self { width, height, pixels, page_width: width, page_height: height, warnings: Vec::new(), text_layer: None }
    }

    /// Returns the same image, downscaled from a page of this size.
    #[must_use]
    pub fn of_page(self, page_width: u32, page_height: u32) -> Self {
        Self { page_width, page_height, ..self }
    }

    /// Returns the same image with these warnings: what is known to be missing from it. Their polygons, if any, are in
    /// pixels of the page as it was sent.
    #[must_use]
    pub fn with_warnings(self, warnings: Vec<Warning>) -> Self {
        Self { warnings, ..self }
    }

    /// Returns the same image with the text that its page contains, in pixels of the image.
    #[must_use]
    pub fn with_text_layer(self, text_layer: Option<TextLayer>) -> Self {
        Self { text_layer, ..self }
    }

    /// Returns the width in pixels.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Returns the height in pixels.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// Returns the bytes: B, G, R, pixel by pixel, row by row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    pub(crate) fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// Returns the bytes without copying them.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// Returns the width of the page as it was sent, which is larger than [`width`](Self::width) if it was downscaled.
    pub const fn page_width(&self) -> u32 {
        self.page_width
    }

    /// Returns the height of the page as it was sent, which is larger than [`height`](Self::height) if it was
    /// downscaled.
    pub const fn page_height(&self) -> u32 {
        self.page_height
    }

    /// Returns what is known to be missing from the image: `missing_fonts`, `damaged` or `not_on_page`.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Returns the text that the page contains, if it is a page of a PDF whose text layer was asked for.
    pub const fn text_layer(&self) -> Option<&TextLayer> {
        self.text_layer.as_ref()
    }
}

impl std::fmt::Debug for PageImage {
    /// Shows only the size: the pixels are many and confidential.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { width, height, page_width, page_height, .. } = self;
        write!(f, "PageImage({width} × {height} of {page_width} × {page_height})")
    }
}
