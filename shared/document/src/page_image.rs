//! One page as pixels: what this crate makes and the engine reads.

/// A page's pixels: blue, green, red, one byte each, rows from the top without padding; upright as its EXIF says, and on
/// white where it was transparent.
#[derive(Clone, PartialEq, Eq)]
pub struct PageImage {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
    page_width: u32,
    page_height: u32,
}

impl PageImage {
    /// Bytes of one pixel.
    pub const CHANNELS: usize = 3;

    /// A page that was not reduced.
    ///
    /// # Panics
    /// When `pixels` is not `width` × `height` × 3 bytes, or when there are none.
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Self {
        assert!(width > 0 && height > 0, "a page has pixels");
        let bytes = width as usize * height as usize * Self::CHANNELS;
        assert_eq!(pixels.len(), bytes, "{width} × {height} pixels of {} bytes", Self::CHANNELS);
        Self { width, height, pixels, page_width: width, page_height: height }
    }

    /// The same pixels as a reduced picture of a page that was sent larger.
    #[must_use]
    pub fn of_page(self, page_width: u32, page_height: u32) -> Self {
        Self { page_width, page_height, ..self }
    }

    /// Pixels from left to right.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Pixels from top to bottom.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// The bytes: B, G, R, pixel by pixel, row by row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    pub(crate) fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// The bytes, for whoever goes on with them.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// Width of the page as it was sent: larger than [`width`](Self::width) when the picture was reduced.
    pub const fn page_width(&self) -> u32 {
        self.page_width
    }

    /// Height of the page as it was sent: larger than [`height`](Self::height) when the picture was reduced.
    pub const fn page_height(&self) -> u32 {
        self.page_height
    }
}

impl std::fmt::Debug for PageImage {
    /// Its frame only: pixels are long, and they are the customer's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { width, height, page_width, page_height, .. } = self;
        write!(f, "PageImage({width} × {height} of {page_width} × {page_height})")
    }
}
