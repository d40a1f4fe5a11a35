//! The check of a document's bytes.

use std::{fmt::Debug, path::Path};

use async_trait::async_trait;
use quire_tasks::{Failure, SplitDocument};

use crate::Pictures;

/// Says what a file is and how many pages it has, or why it is refused. Where it runs is whoever starts the door's to
/// choose: PDFs of strangers belong into a process of their own, since what opens them is native code.
///
/// A call that is dropped stops its work soon.
#[async_trait]
pub trait Inspector: Debug + Send + Sync {
    /// Checks one file.
    ///
    /// # Errors
    /// [`Failure`]: the document is refused, or, where its code is retryable, could not be checked now.
    async fn inspect(&self, file: &Path) -> Result<SplitDocument, Failure>;

    /// The pages of a file that was checked, as pictures; none, where this one only checks.
    fn pictures(&self, _file: &Path) -> Option<Box<dyn Pictures>> {
        None
    }
}
