//! Positions on a page.

/// Four corners `[x, y]` in pixels of the page as it was sent (after EXIF orientation; a PDF page as rendered),
/// clockwise from the start of the text.
pub type Polygon = [[f32; 2]; 4];
