//! Inspects documents in sandboxed child processes.

use std::path::Path;

use async_trait::async_trait;
use quire_document::{DocumentLimits, Documents};
use quire_sandbox::Sandbox;
use quire_tasks::{DocumentFormat, Failure, FailureCode, SplitDocument};
use tracing::error;

use crate::documents::{child_page_images::ChildPageImages, inspector::Inspector, page_images::PageImages};

/// Inspects images in this process, because safe code parses their headers, within limits; PDFs in a child process,
/// because their parser is native code.
#[derive(Debug)]
pub struct ChildInspector {
    sandbox: Sandbox,
    limits: DocumentLimits,
}

impl ChildInspector {
    /// Returns an inspector that uses the children of `sandbox`.
    pub const fn new(sandbox: Sandbox, limits: DocumentLimits) -> Self {
        Self { sandbox, limits }
    }

    /// Inspects an image. Returns `None` for a PDF.
    async fn inspect_image(&self, file: &Path) -> Option<Result<SplitDocument, Failure>> {
        let limits = self.limits;
        let file = file.to_owned();
        let inspect = move || {
            let is_pdf = quire_document::sniff_file(&file).is_ok_and(|format| format == Some(DocumentFormat::Pdf));
            if is_pdf { None } else { Some(Documents::new(None, limits).inspect(&file)) }
        };
        tokio::task::spawn_blocking(inspect).await.unwrap_or_else(|_panic| {
            Some(Err(Failure::new(FailureCode::UnreadableDocument, "The validation of the document crashed.")))
        })
    }
}

#[async_trait]
impl Inspector for ChildInspector {
    async fn inspect(&self, file: &Path) -> Result<SplitDocument, Failure> {
        if let Some(inspected) = self.inspect_image(file).await {
            return inspected;
        }
        self.sandbox.inspect(file).await.map_err(|error| {
            let failure = Failure::from(error.clone());
            if failure.code == FailureCode::Internal {
                error!(%error, "cannot validate a document");
            }
            failure
        })
    }

    fn page_images(&self, file: &Path) -> Option<Box<dyn PageImages>> {
        Some(Box::new(ChildPageImages::new(self.sandbox.clone(), file.to_owned())))
    }
}
