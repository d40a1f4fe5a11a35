//! The engines that run in this process.

use quire_ocr::PageStream;
use quire_pp_ocr::Engine;
use quire_tasks::EngineName;

/// An engine that runs in this process.
pub enum LocalEngine {
    /// Reads micro-batches.
    Batches(Engine),
    /// Reads pages as they come.
    Stream(Box<dyn PageStream>),
}

impl LocalEngine {
    /// What answers are signed with.
    pub fn name(&self) -> EngineName {
        match self {
            Self::Batches(engine) => engine.name(),
            Self::Stream(stream) => stream.name(),
        }
    }
}

impl std::fmt::Debug for LocalEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalEngine({})", self.name())
    }
}
