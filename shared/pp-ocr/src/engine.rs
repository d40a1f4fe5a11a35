//! The engine: reads micro-batches of pages.

use quire_document::PageImage;
use quire_tasks::{EngineName, Failure, PageText};

use crate::{
    cost_counters::CostCounters, line_reader::LineReader, model::OcrModel, page_reader::PageReader, policy::BatchPolicy,
};

/// Reads micro-batches of pages.
///
/// # Examples
/// ```no_run
/// use quire_document::PageImage;
/// use quire_pp_ocr::{BatchPolicy, Device, Engine, ModelFiles, PpOcr, Provider};
///
/// # fn read() -> Result<(), Box<dyn std::error::Error>> {
/// let [library, detection, recognition] =
///     ["libonnxruntime.so", "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"].map(Into::into);
/// let files = ModelFiles::small(library, detection, recognition);
/// let model = PpOcr::load(&files, Device::Cpu, 1)?;
/// let mut engine = Engine::new(Box::new(model), BatchPolicy::for_provider(Provider::OnnxRuntime));
/// let page = PageImage::new(1_654, 2_339, vec![255; 1_654 * 2_339 * PageImage::CHANNELS]);
/// for text in engine.read(&[page]) {
///     println!("{}", text?.text());
/// }
/// # Ok(())
/// # }
/// ```
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
    /// Creates an engine that reads line by line with this model, in batches of this policy.
    pub fn new(model: Box<dyn OcrModel>, policy: BatchPolicy) -> Self {
        Self::from_reader(Box::new(LineReader::new(model, policy)))
    }

    /// Creates an engine that reads line by line with a fast model, and again with a precise one every line that the
    /// first one is not certain of. Results have this name.
    pub fn tiered(name: EngineName, fast: Box<dyn OcrModel>, precise: Box<dyn OcrModel>, policy: BatchPolicy) -> Self {
        Self::from_reader(Box::new(LineReader::tiered(name, fast, precise, policy)))
    }

    /// Creates an engine from any reader, e.g. a fake in tests.
    pub fn from_reader(reader: Box<dyn PageReader>) -> Self {
        Self { reader, others: Vec::new() }
    }

    /// Adds another reader on the same device, so that the device computes a batch while the other reader prepares its
    /// next one. Each reader needs its own thread.
    #[must_use]
    pub fn with_reader(mut self, other: Self) -> Self {
        self.others.push(other);
        self
    }

    /// Splits the engine into its readers, to run each on its own thread.
    pub fn into_readers(mut self) -> Vec<Self> {
        let mut readers = std::mem::take(&mut self.others);
        readers.push(self);
        readers
    }

    /// Returns the engine name in results.
    pub fn name(&self) -> EngineName {
        self.reader.name()
    }

    /// Returns the batching policy.
    pub fn policy(&self) -> &BatchPolicy {
        self.reader.policy()
    }

    /// Reads a micro-batch: pages of any documents. Returns one result per page, in order. A page fails only if the
    /// model fails on this page, or on a line of it, alone.
    pub fn read(&mut self, pages: &[PageImage]) -> Vec<Result<PageText, Failure>> {
        self.reader.read(pages)
    }

    /// Returns the cost counters and resets them.
    pub fn take_costs(&mut self) -> CostCounters {
        self.reader.take_costs()
    }
}
