//! Binds the pdfium library, once per process.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use pdfium_render::prelude::{Pdfium, PdfiumError};

/// The library, which a process binds only once. The lock also makes opening a document and reading its error atomic,
/// because pdfium stores its last error in a global variable.
static BOUND: Mutex<Option<&'static Pdfium>> = Mutex::new(None);

/// Why PDFs cannot be rendered. Decision: refuse to start if PDFs are expected; otherwise fail the page with a
/// retryable error.
#[derive(Debug, thiserror::Error)]
pub enum PdfiumUnavailable {
    /// The configuration has no path of the library.
    #[error("no pdfium library was given")]
    NotGiven,
    /// It is missing, not a library, or of an incompatible version: all functions are looked up when it is bound.
    #[error("the pdfium library {} cannot be used: {reason}", path.display())]
    Unfit {
        /// The configured path.
        path: PathBuf,
        /// The error of the dynamic linker.
        reason: String,
    },
}

/// Binds the library, unless this process has already bound one.
pub(crate) fn bind(library: Option<&Path>) -> Result<(), PdfiumUnavailable> {
    lock_pdfium(library).map(|_| ())
}

type PdfiumLock = MutexGuard<'static, Option<&'static Pdfium>>;

/// Locks pdfium, and binds it first if necessary.
pub(super) fn lock_pdfium(library: Option<&Path>) -> Result<(PdfiumLock, &'static Pdfium), PdfiumUnavailable> {
    // A poisoned lock is fine: the value is set by one assignment.
    let mut bound = BOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pdfium) = *bound {
        return Ok((bound, pdfium));
    }
    let path = library.ok_or(PdfiumUnavailable::NotGiven)?;
    let bindings = Pdfium::bind_to_library(path)
        .map_err(|error| PdfiumUnavailable::Unfit { path: path.to_owned(), reason: reason(&error) })?;
    let pdfium: &'static Pdfium = Box::leak(Box::new(Pdfium::new(bindings)));
    *bound = Some(pdfium);
    Ok((bound, pdfium))
}

/// Returns an error of pdfium on one line.
pub(super) fn reason(error: &PdfiumError) -> String {
    match error {
        PdfiumError::LoadLibraryError(error) => error.to_string(),
        PdfiumError::PdfiumLibraryInternalError(error) => format!("{error:?}"),
        // Its `Display` takes several lines.
        error => format!("{error:?}"),
    }
}
