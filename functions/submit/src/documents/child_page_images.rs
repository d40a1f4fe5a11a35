//! Renders pages in sandboxed child processes, and encodes their images.
//!
//! The redacted parts are blacked out here, not in the child, which a hostile document may have taken over.

use std::path::PathBuf;

use async_trait::async_trait;
use quire_document::{PageSpace, PdfCopy, StoredImage};
use quire_sandbox::{RenderedPage, Sandbox, SandboxError};
use quire_tasks::{Failure, FailureCode};
use tracing::{error, warn};

use crate::documents::page_images::{ImageRedaction, PageImages, PageJpeg, PageJpegShape};

/// Renders the pages of one document. A page that crashes its child or exceeds a limit fails, and a new child renders
/// the next one.
#[derive(Debug)]
pub(crate) struct ChildPageImages {
    sandbox: Sandbox,
    file: PathBuf,
}

impl ChildPageImages {
    pub(crate) const fn new(sandbox: Sandbox, file: PathBuf) -> Self {
        Self { sandbox, file }
    }
}

#[async_trait]
impl PageImages for ChildPageImages {
    async fn page_image(&mut self, page: u32, redaction: &ImageRedaction) -> Result<PageJpeg, Failure> {
        let rendered = self.sandbox.page(&self.file, page).await.map_err(|error| {
            let failure = failure(&error, page);
            warn!(page.no = page, code = failure.code.as_str(), "a page cannot be rendered");
            failure
        })?;
        let redaction = redaction.clone();
        let encode = move || encode(rendered, &redaction);
        tokio::task::spawn_blocking(encode).await.unwrap_or_else(|_panic| {
            Err(Failure::new(FailureCode::UnreadablePage, "The page cannot be encoded: the encoder crashed."))
        })
    }

    async fn copy_pdf(&mut self, first: u32) -> Result<PdfCopy, Failure> {
        self.sandbox.copy_pdf(&self.file, first).await.map_err(|error| failure(&error, 0))
    }

    async fn page_space(&mut self, page: u32) -> Result<PageSpace, Failure> {
        self.sandbox.page_space(&self.file, page).await.map_err(|error| failure(&error, page))
    }

    async fn stored_image(&mut self, page: u32) -> Result<StoredImage, Failure> {
        self.sandbox.stored_image(&self.file, page).await.map_err(|error| failure(&error, page))
    }
}

/// Returns the failure for an error of the sandbox, which is logged if it is our own.
fn failure(error: &SandboxError, page: u32) -> Failure {
    let failure = Failure::from(error.clone());
    if failure.code == FailureCode::Internal {
        error!(page.no = page, %error, "cannot render a page");
        return Failure::new(FailureCode::Internal, "The pages could not be rendered.");
    }
    failure
}

fn encode(rendered: RenderedPage, redaction: &ImageRedaction) -> Result<PageJpeg, Failure> {
    let RenderedPage { mut image, dpi } = rendered;
    let (page_width, page_height) = (image.page_width(), image.page_height());
    match redaction {
        ImageRedaction::Nothing => {}
        ImageRedaction::Parts { width, height, parts } if (*width, *height) == (page_width, page_height) => {
            for part in parts {
                image.blacken_part(part);
            }
        }
        ImageRedaction::Parts { .. } | ImageRedaction::Everything => image.blacken(),
    }
    let jpeg = image.to_jpeg()?;
    let (width, height) = (image.width(), image.height());
    let shape = PageJpegShape { width, height, is_gray: jpeg.is_gray, page_width, page_height, dpi };
    Ok(PageJpeg { jpeg: jpeg.bytes, shape })
}
