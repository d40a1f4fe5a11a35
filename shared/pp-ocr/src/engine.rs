//! Pages in, text out, whichever way they are read.

use quire_document::PageImage;
use quire_tasks::{EngineName, Failure, PageText};

use crate::{cost_counters::Work, line_reader::LineReader, model::Model, page_reader::PageReader, policy::Policy};

/// Reads pages in micro-batches.
pub struct Engine {
    reader: Box<dyn PageReader>,
    beside: Vec<Engine>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("model", &self.name()).field("policy", self.policy()).finish()
    }
}

impl Engine {
    /// Reads line by line with this model, in runs of this policy.
    pub fn new(model: Box<dyn Model>, policy: Policy) -> Self {
        Self::of(Box::new(LineReader::new(model, policy)))
    }

    /// Reads in this way.
    pub fn of(reader: Box<dyn PageReader>) -> Self {
        Self { reader, beside: Vec::new() }
    }

    /// Another reader on the same device: the device has a run to do while one of them prepares its next. Each reads its
    /// own micro-batches, on a thread of its own.
    #[must_use]
    pub fn beside(mut self, other: Self) -> Self {
        self.beside.push(other);
        self
    }

    /// This reader and those beside it, each alone.
    pub fn apart(mut self) -> Vec<Self> {
        let mut readers = std::mem::take(&mut self.beside);
        readers.push(self);
        readers
    }

    /// What answers are signed with.
    pub fn name(&self) -> EngineName {
        self.reader.name()
    }

    /// How runs are made up, and micro-batches should be.
    pub fn policy(&self) -> &Policy {
        self.reader.policy()
    }

    /// Reads a micro-batch: pages of any documents, one result each, in order. A page or a line on which the model
    /// fails even alone fails its page and no other.
    pub fn read(&mut self, pages: &[PageImage]) -> Vec<Result<PageText, Failure>> {
        self.reader.read(pages)
    }

    /// What reading has cost since this was last asked.
    pub fn take_work(&mut self) -> Work {
        self.reader.take_work()
    }
}
