//! Pages of a document as pictures, for those who look at them.

use std::fmt::Debug;

use async_trait::async_trait;
use quire_tasks::{Failure, Polygon};
use serde::{Deserialize, Serialize};

/// What nobody is to see of a page. It is blackened in the pixels, before there is a picture at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "cover")]
pub enum ImageRedaction {
    /// It may be seen.
    Nothing,
    /// These parts of a page of this size in pixels. Of another size it is not the page that was meant: then all of it.
    Parts {
        /// The page's width.
        width: u32,
        /// The page's height.
        height: u32,
        /// The parts.
        parts: Vec<Polygon>,
    },
    /// All of it.
    Everything,
}

/// A page's picture.
#[derive(Clone, PartialEq)]
pub struct PageJpeg {
    /// The picture, gray or RGB.
    pub jpeg: Vec<u8>,
    /// What it is like.
    pub shape: PageJpegShape,
}

impl Debug for PageJpeg {
    /// Its shape only: the picture is the customer's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.shape.fmt(f)
    }
}

/// What a page's picture is like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PageJpegShape {
    /// The picture's width in pixels.
    pub width: u32,
    /// The picture's height in pixels.
    pub height: u32,
    /// Whether it is gray.
    pub is_gray: bool,
    /// The page's width in pixels: the frame of its text.
    pub page_width: u32,
    /// The page's height in pixels.
    pub page_height: u32,
    /// How many pixels of the page are an inch on paper.
    pub dpi: f32,
}

/// Gives the pages of one document as pictures, one at a time. What opens the document is native code, and belongs into a
/// process of its own.
///
/// A call that is dropped stops its work soon.
#[async_trait]
pub trait PageImages: Debug + Send {
    /// A page, counted from 1.
    ///
    /// # Errors
    /// [`Failure`]: this page is not to be had. Others still may be, unless its code is `Internal`.
    async fn picture(&mut self, page: u32, cover: &ImageRedaction) -> Result<PageJpeg, Failure>;
}
