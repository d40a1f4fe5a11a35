//! Gray images of pages.

/// A page in gray, at the resolution at which it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrayImage {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl GrayImage {
    /// Creates an image: 0 is black, row by row.
    ///
    /// # Panics
    /// Panics if there are not `width` × `height` pixels.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Self {
        assert_eq!(pixels.len(), width * height, "{width} × {height} pixels");
        Self { width, height, pixels }
    }

    /// Creates an image from pixels of three bytes each, of which the second one is green.
    ///
    /// # Panics
    /// Panics if there are not `width` × `height` pixels of three bytes.
    pub fn from_color(width: usize, height: usize, pixels: &[u8]) -> Self {
        let gray = |[first, green, last]: &[u8; 3]| {
            let sum = u16::from(*first) + 2 * u16::from(*green) + u16::from(*last);
            (sum / 4) as u8
        };
        Self::new(width, height, pixels.as_chunks::<3>().0.iter().map(gray).collect())
    }

    pub(crate) const fn width(&self) -> usize {
        self.width
    }

    pub(crate) const fn height(&self) -> usize {
        self.height
    }

    pub(crate) fn row(&self, y: usize) -> &[u8] {
        &self.pixels[y * self.width..(y + 1) * self.width]
    }

    /// Returns the nearest pixel; white outside of the image.
    pub(crate) fn at(&self, x: f32, y: f32) -> u8 {
        if x < 0.0 || y < 0.0 {
            return u8::MAX;
        }
        let (x, y) = (x as usize, y as usize);
        if x < self.width && y < self.height { self.pixels[y * self.width + x] } else { u8::MAX }
    }
}
