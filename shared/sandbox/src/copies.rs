//! Requests for what a searchable PDF takes from its documents.

use std::path::Path;

use quire_document::{PageSpace, PdfCopy, StoredImage};

use crate::{error::SandboxError, pool::Sandbox, protocol::Request, verdict::Step};

/// Copying a document may take as long as rendering this number of pages: large ones have many objects.
const COPY_PAGES: u32 = 4;

impl Sandbox {
    /// Copies the objects of a PDF for another one, in which they are numbered from `first`. The parts of the body that
    /// are in the source were not compared with the file's length.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub async fn copy_pdf(&self, file: &Path, first: u32) -> Result<PdfCopy, SandboxError> {
        let time = self.limits().page * COPY_PAGES;
        let request = Request::CopyPdf { first, cpu_secs: time.as_secs() };
        let (copy, bytes) = self.data::<PdfCopy>(file, Step::Inspection, &request, time).await?;
        Ok(PdfCopy { bytes, ..copy })
    }

    /// Returns the coordinates and the own text of a PDF's page, counted from 1.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub async fn page_space(&self, file: &Path, page: u32) -> Result<PageSpace, SandboxError> {
        let time = self.limits().page;
        let request = Request::PageSpace { page, cpu_secs: time.as_secs() };
        Ok(self.data(file, Step::Page(page), &request, time).await?.0)
    }

    /// Returns the image of a page, counted from 1, in a form that a PDF can contain. The parts of it that are in the
    /// source were not compared with the file's length.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub async fn stored_image(&self, file: &Path, page: u32) -> Result<StoredImage, SandboxError> {
        let time = self.limits().page;
        let request = Request::StoredImage { page, cpu_secs: time.as_secs() };
        let (image, bytes) = self.data::<StoredImage>(file, Step::Page(page), &request, time).await?;
        Ok(StoredImage { bytes, ..image })
    }
}
