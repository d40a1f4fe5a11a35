//! The interface for inspecting a document's bytes.

use std::{fmt::Debug, path::Path};

use async_trait::async_trait;
use quire_tasks::{Failure, SplitDocument};

use crate::documents::page_images::PageImages;

/// Determines the format and number of pages of a file. The program chooses the implementation: untrusted PDFs must be
/// parsed in a child process, because the parser is native code.
///
/// Dropping a call's future cancels its work soon.
#[async_trait]
pub trait Inspector: Debug + Send + Sync {
    /// Inspects a file.
    ///
    /// # Errors
    /// [`Failure`]: refuse the document; if its code is retryable, the inspection itself failed.
    async fn inspect(&self, file: &Path) -> Result<SplitDocument, Failure>;

    /// Returns a renderer for the pages of an inspected file. Default: `None`, for an inspector that cannot render.
    fn page_images(&self, _file: &Path) -> Option<Box<dyn PageImages>> {
        None
    }
}
