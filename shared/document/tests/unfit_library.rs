//! Behavior without a usable pdfium. In its own process, because a process binds pdfium only once.

use std::{io::Write, path::PathBuf};

use quire_document::{DocumentLimits, Documents, PdfiumUnavailable};
use quire_tasks::{DocumentFormat, FailureCode};

#[test]
fn a_missing_or_unusable_library_is_a_retryable_error() {
    let mut text = tempfile::NamedTempFile::new().expect("a temporary file");
    text.write_all(b"%PDF-1.7\nno library").expect("the temporary file can be written");
    let missing = PathBuf::from("no/such/libpdfium.so");
    for (library, words) in [
        (None, "no pdfium library was given"),
        (Some(missing), "no/such/libpdfium.so cannot be used"),
        (Some(text.path().to_owned()), "cannot be used"),
    ] {
        let mut documents = Documents::new(library, DocumentLimits::default());
        let error: PdfiumUnavailable = documents.bind_pdfium().expect_err("the library is unusable");
        assert!(error.to_string().contains(words), "{error}");
        for failure in [documents.inspect(text.path()).err(), documents.page(text.path(), DocumentFormat::Pdf, 1).err()]
        {
            let failure = failure.expect("PDFs cannot be read");
            assert_eq!(failure.code, FailureCode::Internal);
            assert!(failure.code.retryable() && !failure.message.contains("such"), "{failure}");
        }
    }
}
