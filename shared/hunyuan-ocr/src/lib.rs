//! HunyuanOCR: a model that reads a page end to end, with many pages in flight.
//!
//! ```text
//! page ── resize, page_pixels ──> [n,3,H,W] ── encode ──> features ─┐
//! instruction ── vocabulary, prompt, positions ──> tokens ──────┴─ prefill ──> a slot ─┐
//! page text <── repetition <── text <── a token a slot <── decode, all slots together ─┴─ slots
//! ```
//!
//! A folder made by `export/export.py` says how its graphs are to be driven (`manifest`), and is refused if they are not
//! what it says (`graph_contract`). [`HunyuanOcr::serve`](quire_ocr::PageStream::serve) keeps the slots full: a page that ends frees its slot for the next at
//! once. The caches stay on the device and are updated in place (`onnx`); which slot runs what is decided without
//! a model (`slots`), and what runs is behind a small trait (`network`).
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
