//! The layout of pages that were read line by line, and the modes that are made of it.

use quire_document::PageImage;
use quire_layout::{GrayImage, Layout, analyze};
use quire_tasks::{ModeName, PageText};
use tokio::task::spawn_blocking;
use tracing::warn;

/// Returns the page in gray if its layout may be analyzed in this mode: a third of the image, which is kept while the
/// engine has the image itself.
pub(crate) fn gray_image(image: &PageImage, mode: ModeName) -> Option<GrayImage> {
    is_of_lines(mode).then(|| GrayImage::from_color(image.width() as usize, image.height() as usize, image.pixels()))
}

/// Returns whether a mode is made of lines with positions, for engines that read lines only.
const fn is_of_lines(mode: ModeName) -> bool {
    matches!(mode, ModeName::Text | ModeName::Markdown | ModeName::Table)
}

/// Adds the blocks to a text of lines with positions, which then is in the requested mode. The text of an engine that
/// has answered in that mode is returned as it is.
pub(crate) async fn add_blocks(image: Option<GrayImage>, mode: ModeName, text: Box<PageText>) -> Box<PageText> {
    let Some(image) = image.filter(|_| text.mode == ModeName::Text) else { return text };
    let lines = text.clone();
    // It takes a few milliseconds of processor time.
    let analyzed = spawn_blocking(move || analyze(&image, &lines)).await;
    let Layout { blocks, warnings } = analyzed.unwrap_or_else(|error| {
        // Without the panic's message, which may quote the text.
        warn!(is_panic = error.is_panic(), "the layout analysis failed; the page has no blocks");
        Layout::default()
    });
    let warnings = [text.warnings.clone(), warnings].concat();
    Box::new(PageText { blocks, mode, warnings, ..*text })
}
