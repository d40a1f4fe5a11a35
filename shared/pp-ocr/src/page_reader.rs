//! The interface of engines that read micro-batches.

use quire_document::PageImage;
use quire_tasks::{EngineName, Failure, PageText};

use crate::{cost_counters::CostCounters, policy::BatchPolicy};

/// Reads micro-batches of pages. [`Engine::new`](crate::Engine::new) creates the only implementation; tests have fakes.
pub trait PageReader: Send {
    /// Returns the engine name in results.
    fn name(&self) -> EngineName;

    /// Returns the batching policy.
    fn policy(&self) -> &BatchPolicy;

    /// Reads a micro-batch: pages of any documents. Returns one result per page, in order. A page fails only if the
    /// model fails on it alone.
    fn read(&mut self, pages: &[PageImage]) -> Vec<Result<PageText, Failure>>;

    /// Returns the cost counters and resets them.
    fn take_costs(&mut self) -> CostCounters {
        CostCounters::default()
    }
}
