//! Ways of reading pages that are all there.

use quire_document::PageImage;
use quire_tasks::{EngineName, Failure, PageText};

use crate::{cost_counters::CostCounters, policy::BatchPolicy};

/// One way of reading pages that are all there: line by line ([`Engine::new`]). It reads text.
pub trait PageReader: Send {
    /// What answers are signed with.
    fn name(&self) -> EngineName;

    /// How runs are made up, and micro-batches should be.
    fn policy(&self) -> &BatchPolicy;

    /// Reads a micro-batch: pages of any documents, one result each, in order. A page on which the model fails even alone
    /// fails, and no other.
    fn read(&mut self, pages: &[PageImage]) -> Vec<Result<PageText, Failure>>;

    /// What reading has cost since this was last asked.
    fn take_costs(&mut self) -> CostCounters {
        CostCounters::default()
    }
}
