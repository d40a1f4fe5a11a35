//! Documents: fetching, validation, splitting, and searchable PDFs.
//!
//! Documents are untrusted. What parses PDFs is native code and runs in child processes.

pub(crate) mod batch;
pub(crate) mod child_inspector;
pub(crate) mod child_page_images;
pub(crate) mod ingest;
pub(crate) mod inspector;
pub(crate) mod page_images;
pub(crate) mod pdf_preparation;
pub(crate) mod pdf_source;
pub(crate) mod searchable_pdf;
pub(crate) mod source_bytes;
pub(crate) mod spool;
pub(crate) mod stored_page;
pub(crate) mod task_watch;
pub(crate) mod transfer_rate;
pub(crate) mod validation;
