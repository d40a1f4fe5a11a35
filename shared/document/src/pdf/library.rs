//! Binds the pdfium library, once per process.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use pdfium_render::prelude::{Pdfium, PdfiumError};

use super::substitutes::Substitutes;
use crate::fonts::SYSTEM_FONT_FOLDERS;

/// The library, which a process binds only once. The lock also makes opening a document and reading its error atomic,
/// because pdfium stores its last error in a global variable.
static BOUND: Mutex<Option<Bound>> = Mutex::new(None);

/// The bound library with its fonts.
#[derive(Clone)]
pub(super) struct Bound {
    pub(super) pdfium: &'static Pdfium,
    pub(super) substitutes: Substitutes,
}

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

/// Binds the library, which takes fonts from these folders, unless this process has already bound one.
pub(crate) fn bind(library: Option<&Path>, font_folders: &[PathBuf]) -> Result<(), PdfiumUnavailable> {
    lock_with_fonts(library, || font_folders.to_vec()).map(|_| ())
}

type PdfiumLock = MutexGuard<'static, Option<Bound>>;

/// Locks pdfium, and binds it first if necessary, with the fonts of the system.
pub(super) fn lock_pdfium(library: Option<&Path>) -> Result<(PdfiumLock, Bound), PdfiumUnavailable> {
    lock_with_fonts(library, || SYSTEM_FONT_FOLDERS.iter().map(PathBuf::from).collect())
}

fn lock_with_fonts(
    library: Option<&Path>,
    font_folders: impl FnOnce() -> Vec<PathBuf>,
) -> Result<(PdfiumLock, Bound), PdfiumUnavailable> {
    // A poisoned lock is fine: the value is set by one assignment.
    let mut lock = BOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(bound) = &*lock {
        let bound = bound.clone();
        return Ok((lock, bound));
    }
    let path = library.ok_or(PdfiumUnavailable::NotGiven)?;
    let bindings = Pdfium::bind_to_library(path)
        .map_err(|error| PdfiumUnavailable::Unfit { path: path.to_owned(), reason: reason(&error) })?;
    let substitutes = Substitutes::new(font_folders());
    let mut pdfium = Pdfium::new(bindings);
    pdfium.set_custom_font_provider(Box::new(substitutes.clone()));
    let bound = Bound { pdfium: Box::leak(Box::new(pdfium)), substitutes };
    *lock = Some(bound.clone());
    Ok((lock, bound))
}

/// Returns an error of pdfium on one line.
fn reason(error: &PdfiumError) -> String {
    match error {
        PdfiumError::LoadLibraryError(error) => error.to_string(),
        PdfiumError::PdfiumLibraryInternalError(error) => format!("{error:?}"),
        // Its `Display` takes several lines.
        error => format!("{error:?}"),
    }
}
