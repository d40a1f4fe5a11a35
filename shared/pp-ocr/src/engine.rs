//! Pages in, text out, whichever way they are read.

use quire_document::PageImage;
use quire_tasks::{EngineName, Failure, PageText};

use crate::{
    cost_counters::CostCounters, line_reader::LineReader, model::OcrModel, page_reader::PageReader, policy::BatchPolicy,
};

/// Reads pages in micro-batches.
pub struct Engine {
    reader: Box<dyn PageReader>,
    others: Vec<Engine>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("model", &self.name()).field("policy", self.policy()).finish()
    }
}

impl Engine {
    /// Reads line by line with this model, in runs of this policy.
    pub fn new(model: Box<dyn OcrModel>, policy: BatchPolicy) -> Self {
        Self::from_reader(Box::new(LineReader::new(model, policy)))
    }

    /// Reads in this way.
    pub fn from_reader(reader: Box<dyn PageReader>) -> Self {
        Self { reader, others: Vec::new() }
    }

    /// Another reader on the same device: the device has a run to do while one of them prepares its next. Each reads its
    /// own micro-batches, on a thread of its own.
    #[must_use]
    pub fn with_reader(mut self, other: Self) -> Self {
        self.others.push(other);
        self
    }

    /// This reader and those beside it, each alone.
    pub fn into_readers(mut self) -> Vec<Self> {
        let mut readers = std::mem::take(&mut self.others);
        readers.push(self);
        readers
    }

    /// What answers are signed with.
    pub fn name(&self) -> EngineName {
        self.reader.name()
    }

    /// How runs are made up, and micro-batches should be.
    pub fn policy(&self) -> &BatchPolicy {
        self.reader.policy()
    }

    /// Reads a micro-batch: pages of any documents, one result each, in order. A page or a line on which the model
    /// fails even alone fails its page and no other.
    pub fn read(&mut self, pages: &[PageImage]) -> Vec<Result<PageText, Failure>> {
        self.reader.read(pages)
    }

    /// What reading has cost since this was last asked.
    pub fn take_costs(&mut self) -> CostCounters {
        self.reader.take_costs()
    }
}
