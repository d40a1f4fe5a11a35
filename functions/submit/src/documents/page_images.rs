//! The interface for rendering pages as JPEG images, and for copying the pages of PDFs.

use std::fmt::Debug;

use async_trait::async_trait;
use quire_document::{PageSpace, PdfCopy, StoredImage};
use quire_tasks::{Failure, FailureCode, Polygon};
use serde::{Deserialize, Serialize};

/// The parts of a page's pixels that are blacked out before the page is encoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "cover")]
pub enum ImageRedaction {
    /// Nothing.
    Nothing,
    /// These polygons of a page of this size. If the rendered page has another size, the whole page is blacked out.
    Parts {
        /// The page's width in pixels.
        width: u32,
        /// The page's height in pixels.
        height: u32,
        /// The polygons, in pixels of the page.
        parts: Vec<Polygon>,
    },
    /// The whole page.
    Everything,
}

/// The JPEG image of a page.
#[derive(Clone, PartialEq)]
pub struct PageJpeg {
    /// The encoded image, gray or RGB.
    pub jpeg: Vec<u8>,
    /// The properties of the image.
    pub shape: PageJpegShape,
}

impl Debug for PageJpeg {
    /// Omits the image, which is the customer's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.shape.fmt(f)
    }
}

/// The properties of a page's image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PageJpegShape {
    /// The image's width in pixels.
    pub width: u32,
    /// The image's height in pixels.
    pub height: u32,
    /// Whether the image is gray.
    pub is_gray: bool,
    /// The page's width in pixels: the coordinate system of its text.
    pub page_width: u32,
    /// The page's height in pixels.
    pub page_height: u32,
    /// The resolution of the page in pixels per inch.
    pub dpi: f32,
}

/// Renders the pages of one document, one at a time. PDFs must be rendered in a child process, because the renderer is
/// native code.
///
/// Dropping a call's future cancels its work soon.
#[async_trait]
pub trait PageImages: Debug + Send {
    /// Renders a page, counted from 1.
    ///
    /// # Errors
    /// [`Failure`]: skip this page. If its code is `Internal`, no page can be rendered.
    async fn page_image(&mut self, page: u32, redaction: &ImageRedaction) -> Result<PageJpeg, Failure>;

    /// Copies the objects of a PDF for another one, in which they are numbered from `first`. Default: it cannot.
    ///
    /// # Errors
    /// [`Failure`]: the pages must be rendered. If its code is `Internal`, no page can be rendered either.
    async fn copy_pdf(&mut self, _first: u32) -> Result<PdfCopy, Failure> {
        Err(Failure::new(FailureCode::UnsupportedFormat, "The pages cannot be copied."))
    }

    /// Returns the coordinates and the own text of a PDF's page, counted from 1. Default: unknown.
    ///
    /// # Errors
    /// [`Failure`]: the page must be rendered.
    async fn page_space(&mut self, _page: u32) -> Result<PageSpace, Failure> {
        Err(Failure::new(FailureCode::UnsupportedFormat, "The pages cannot be copied."))
    }

    /// Returns the image of a page, counted from 1, in a form that a PDF can contain. Default: there is none.
    ///
    /// # Errors
    /// [`Failure`]: the page must be rendered.
    async fn stored_image(&mut self, _page: u32) -> Result<StoredImage, Failure> {
        Err(Failure::new(FailureCode::UnsupportedFormat, "The pages cannot be copied."))
    }
}
