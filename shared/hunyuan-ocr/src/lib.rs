//! HunyuanOCR engine: a vision-language model that reads a whole page end to end, with continuous batching.
//!
//! ```text
//! page ── resize, page_pixels ──> [n,3,H,W] ── encode ──> features ─┐
//! instruction ── vocabulary, prompt, positions ──> tokens ──────────┴─ prefill ──> a slot ─┐
//! page text <── repetition <── text <── one token per slot <── decode, all slots together ─┴─ slots
//! ```
//!
//! A folder exported by `export/export.py` contains a manifest that describes its graphs (`manifest`); graphs that do
//! not match it are rejected (`graph_contract`). [`HunyuanOcr::serve`](quire_ocr::PageStream::serve) keeps all slots
//! busy: a finished page frees its slot for the next one immediately. The key/value caches stay on the device and are
//! updated in place (`onnx`). The scheduler is pure (`slots`), and the graphs are behind a trait with a fake for tests
//! (`network`).
#![warn(missing_docs)]

mod engine;
mod graph_contract;
mod manifest;
mod network;
mod onnx;
mod options;
mod page_pixels;
mod positions;
mod prompt;
mod reader;
mod resize;
mod sequence;
mod slots;
mod text_stream;
mod vocabulary;

pub use engine::HunyuanOcr;
pub use options::{HunyuanFiles, HunyuanOptions};
pub use quire_inference::{Device, LoadError};

#[cfg(test)]
mod tests;
