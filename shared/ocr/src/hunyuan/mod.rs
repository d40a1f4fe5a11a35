//! HunyuanOCR: a model that reads a page end to end, with many pages in flight.
//!
//! ```text
//! page ── resize, picture ──> [n,3,H,W] ── encode ──> features ─┐
//! instruction ── vocabulary, prompt, positions ──> tokens ──────┴─ prefill ──> a slot ─┐
//! page text <── repetition <── text <── a token a slot <── decode, all slots together ─┴─ slots
//! ```
//!
//! A folder made by `export/export.py` says how its graphs are to be driven (`manifest`), and is refused if they are not
//! what it says (`contract`). [`HunyuanOcr::serve`] keeps the slots full: a page that ends frees its slot for the next at
//! once. The caches stay on the device and are updated in place (`onnx`, `binding`); which slot runs what is decided without
//! a model (`slots`), and what runs is behind a small trait (`network`).

mod binding;
mod contract;
mod manifest;
mod network;
mod onnx;
mod page;
mod picture;
mod positions;
mod prompt;
mod reader;
mod repetition;
mod resize;
mod sequence;
mod slots;
mod text;
mod vocabulary;

use std::path::PathBuf;

use quire_document::PageImage;
use quire_tasks::{EngineName, Failure, PageText};

pub use page::{End, PageFeed, PageJob, ReadError, Reading};
pub use prompt::{Instruction, InstructionError};

use crate::{Device, LoadError, PageReader, Policy};
use manifest::Manifest;
use onnx::Onnx;
use reader::Reader;
use vocabulary::Vocabulary;

/// The mode of pages that come without an instruction.
const PLAIN: &str = "text";

/// Where the native parts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HunyuanFiles {
    /// ONNX Runtime's shared library.
    pub onnxruntime: PathBuf,
    /// The folder that `export/export.py` has made.
    pub folder: PathBuf,
}

/// How the model is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HunyuanOptions {
    /// What runs it.
    pub device: Device,
    /// Threads of one run on a CPU.
    pub threads: usize,
    /// How many pages are decoded together. Each costs 96 KiB of memory a token in float16.
    pub slots: usize,
    /// Tokens of one slot, the picture's and the prompt's included; at most what the model takes. A page of A4 at 150 dpi is
    /// 2,200 tokens before it is read.
    pub slot_tokens: usize,
    /// Pages with more pixels are reduced; at most what the model takes.
    pub max_pixels: Option<usize>,
    /// Pixels of the pages of one size that are looked at in one run.
    pub vision_max_pixels: usize,
}

impl HunyuanOptions {
    /// For so many threads of a CPU. Two slots take 1.6 GB in float32, and pages are reduced to what leaves half a slot for
    /// their text: A4 at 150 dpi.
    pub const fn cpu(threads: usize) -> Self {
        let max_pixels = Some(2_000_000);
        Self { device: Device::Cpu, threads, slots: 2, slot_tokens: 4_096, max_pixels, vision_max_pixels: 0 }
    }

    /// For a GPU with 24 GB: 16 slots take 12.9 GB beside 2 GB of weights. By the arithmetic of memory, not yet measured.
    pub const fn cuda() -> Self {
        Self {
            device: Device::Cuda,
            threads: 1,
            slots: 16,
            slot_tokens: 8_192,
            max_pixels: None,
            vision_max_pixels: 4 * 2_048 * 2_048,
        }
    }
}

/// HunyuanOCR through ONNX Runtime. One thread's.
#[derive(Debug)]
pub struct HunyuanOcr {
    reader: Reader<Onnx>,
    policy: Policy,
}

impl HunyuanOcr {
    /// Loads a folder.
    ///
    /// # Errors
    /// [`LoadError`] says what is missing or wrong, and what was expected.
    pub fn load(files: &HunyuanFiles, options: &HunyuanOptions) -> Result<Self, LoadError> {
        let manifest = Manifest::open(&files.folder)?;
        let vocabulary = Vocabulary::load(&manifest)?;
        let slots = options.slots.max(1);
        let options = HunyuanOptions { slots, ..options.clone() };
        let capacity = options.slot_tokens.min(manifest.decoder.max_positions);
        let network = Onnx::load(&files.onnxruntime, &manifest, &options, capacity)?;
        let page_pixels = options.max_pixels.unwrap_or(manifest.picture.max_pixels).min(manifest.picture.max_pixels);
        let policy = Policy::pages_in_flight(slots, page_pixels);
        Ok(Self { reader: Reader::new(network, manifest, vocabulary, &options, capacity), policy })
    }

    /// The instruction of one of the folder's modes, with what the caller says for its `{names}`.
    ///
    /// # Errors
    /// When there is no such mode, or it asks for more than is said.
    pub fn instruction(&self, mode: &str, values: &[(&str, &str)]) -> Result<Instruction, InstructionError> {
        Instruction::of_mode(&self.reader.manifest.modes, mode, values)
    }

    /// The folder's modes, by name.
    pub fn modes(&self) -> impl Iterator<Item = &str> {
        self.reader.manifest.modes.keys().map(String::as_str)
    }

    /// Bytes of the slots on the device.
    pub fn slot_bytes(&self) -> usize {
        self.reader.network.slot_bytes()
    }

    /// Reads pages until the feed ends. Pages are taken from it while others are in flight.
    pub fn serve(&mut self, feed: &mut dyn PageFeed<'_>) {
        self.reader.read(feed);
    }
}

impl PageReader for HunyuanOcr {
    fn name(&self) -> EngineName {
        self.reader.name()
    }

    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn read(&mut self, pages: &[PageImage]) -> Vec<Result<PageText, Failure>> {
        let instruction = Instruction::of(self.reader.manifest.modes[PLAIN].as_str());
        let mut batch = MicroBatch { pages, next: 0, instruction, texts: pages.iter().map(|_| None).collect() };
        self.serve(&mut batch);
        let lost = || Err(Failure::new(quire_tasks::FailureCode::Internal, "the page has no answer"));
        batch.texts.into_iter().map(|text| text.unwrap_or_else(lost)).collect()
    }
}

/// Pages that are all there, as a feed.
struct MicroBatch<'p> {
    pages: &'p [PageImage],
    next: usize,
    instruction: Instruction,
    texts: Vec<Option<Result<PageText, Failure>>>,
}

impl<'p> PageFeed<'p> for MicroBatch<'p> {
    fn next(&mut self, _wait: bool) -> Option<PageJob<'p>> {
        let job = PageJob::new(self.next as u64, self.pages.get(self.next)?, self.instruction.clone());
        self.next += 1;
        Some(job)
    }

    fn ended(&mut self, ticket: u64, outcome: Result<Reading, ReadError>) {
        self.texts[ticket as usize] = Some(outcome.map(|reading| reading.page).map_err(Failure::from));
    }
}

#[cfg(test)]
mod tests;
