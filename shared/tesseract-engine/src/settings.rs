//! Configuration of the program.

use std::{path::PathBuf, time::Duration};

use quire_tasks::EngineName;

/// Configuration of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TesseractSettings {
    /// The name of the engine in results.
    pub engine: EngineName,
    /// The program: a path, or a name that is looked up in `PATH`.
    pub program: PathBuf,
    /// The languages by Tesseract's names, e.g. `rus`, the most frequent one first.
    pub languages: Vec<String>,
    /// The most pages at once.
    pub concurrency: usize,
    /// The timeout of a page, without the wait for its turn.
    pub timeout: Duration,
    /// The most bytes of address space of one process.
    pub memory: u64,
}
