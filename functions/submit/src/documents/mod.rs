//! Documents: fetched, validated, split, and shown again as a searchable PDF.

pub(crate) mod batch;
pub(crate) mod child_inspector;
pub(crate) mod child_page_images;
pub(crate) mod ingest;
pub(crate) mod inspector;
pub(crate) mod page_images;
pub(crate) mod pdf_preparation;
pub(crate) mod searchable_pdf;
pub(crate) mod spool;
pub(crate) mod validation;
