//! The pools of the API and of ingest. Each is shared fairly between the tenants.

use std::{num::NonZero, thread};

use quire_fair_share::{FairShare, pool_size};

use crate::settings::SubmitSettings;

/// The maximum number of test events of one tenant in flight: each holds a connection until its receiver answers.
const MAX_WEBHOOK_TESTS: usize = 16;
/// The maximum number of searchable PDFs of one tenant that are made concurrently.
const MAX_SEARCHABLE_PDFS: usize = 4;

/// Permits for work of which a server can do only so much at a time.
#[derive(Debug)]
pub(crate) struct Pools {
    /// Validations of PDFs: each takes a CPU and the memory of a child process.
    pub(crate) pdf_validations: FairShare,
    /// Validations of images, whose headers are read in milliseconds: they never wait for a PDF.
    pub(crate) image_validations: FairShare,
    /// Searchable PDFs that are being made: each takes a CPU.
    pub(crate) searchable_pdfs: FairShare,
    /// Results that are being composed from the texts of all pages.
    pub(crate) results: FairShare,
    /// Webhook test events.
    pub(crate) webhook_tests: FairShare,
}

impl Pools {
    pub(crate) fn new(settings: &SubmitSettings) -> Self {
        let validations = pool_size(settings.max_inspections);
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            pdf_validations: FairShare::new(validations),
            image_validations: FairShare::new(validations),
            searchable_pdfs: FairShare::new(pool_size((settings.max_inspections / 2).clamp(1, MAX_SEARCHABLE_PDFS))),
            results: FairShare::new(pool_size(processors)),
            webhook_tests: FairShare::new(pool_size(MAX_WEBHOOK_TESTS)),
        }
    }
}
