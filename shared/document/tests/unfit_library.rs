//! A process binds pdfium once, so what happens without it needs a process of its own.

use std::{io::Write, path::PathBuf};

use quire_document::{Documents, Limits, PdfiumUnavailable};
use quire_tasks::{DocumentFormat, FailureCode};

#[test]
fn a_missing_or_unfit_library_is_an_error_that_says_so() {
    let mut text = tempfile::NamedTempFile::new().expect("a temporary file");
    text.write_all(b"%PDF-1.7\nno library").expect("room for it");
    let missing = PathBuf::from("no/such/libpdfium.so");
    for (library, words) in [
        (None, "no pdfium library was given"),
        (Some(missing), "no/such/libpdfium.so cannot be used"),
        (Some(text.path().to_owned()), "cannot be used"),
    ] {
        let mut documents = Documents::new(library, Limits::default());
        let error: PdfiumUnavailable = documents.bind_pdfium().expect_err("there is no pdfium");
        assert!(error.to_string().contains(words), "{error}");
        for failure in [documents.inspect(text.path()).err(), documents.page(text.path(), DocumentFormat::Pdf, 1).err()]
        {
            let failure = failure.expect("no PDF can be read");
            assert_eq!(failure.code, FailureCode::Internal);
            assert!(failure.code.retryable() && !failure.message.contains("such"), "{failure}");
        }
    }
}
