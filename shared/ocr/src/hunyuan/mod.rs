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
mod instruction;
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

use quire_tasks::{EngineName, ModeName};

pub(crate) use binding::Binding;
pub use instruction::{Instruction, InstructionError, default_prompts};
pub use page::{End, PageFeed, PageJob, ReadError, Reading};
pub use repetition::{TailGuard, without_repetition};

use crate::{Device, LoadError, PageStream};
use manifest::Manifest;
use onnx::Onnx;
use reader::Reader;
use vocabulary::Vocabulary;

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
        Ok(Self { reader: Reader::new(network, manifest, vocabulary, &options, capacity) })
    }

    /// The modes that the folder has an instruction for.
    pub fn modes(&self) -> impl Iterator<Item = ModeName> {
        ModeName::ALL.into_iter().filter(|mode| self.reader.manifest.modes.contains_key(mode.as_str()))
    }

    /// Bytes of the slots on the device.
    pub fn slot_bytes(&self) -> usize {
        self.reader.network.slot_bytes()
    }
}

impl PageStream for HunyuanOcr {
    fn name(&self) -> EngineName {
        self.reader.name()
    }

    fn slots(&self) -> usize {
        self.reader.slots()
    }

    fn serve(&mut self, feed: &mut dyn PageFeed<'_>) {
        self.reader.read(feed);
    }
}

#[cfg(test)]
mod tests;
