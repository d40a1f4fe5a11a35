//! PP-OCR engine: detects and recognizes text line by line with ONNX Runtime or OpenVINO.
//!
//! [`Engine::read`] reads a micro-batch of pages of any documents:
//!
//! ```text
//! page ── resample ──> [N,3,H,W] ── detect ──> [N,H,W] ── components, detection ──> boxes of lines
//!                                                                                      │ orientation, line_split
//! text <── page_state, reading_order <── ctc <── [N,W/8] <── recognize <── [N,3,48,W] <── line_image, line_batches
//! ```
//!
//! The two model runs are behind the trait [`OcrModel`], with fakes in tests; everything else is pure. [`BatchPolicy`]
//! decides which items share a run. When a run fails, the batch is bisected, so that only the faulty page fails.
//! Synchronous; one thread per reader, no network.
#![warn(missing_docs)]

mod alphabet;
mod columns;
mod components;
mod cost_counters;
mod coverage;
mod crop_rect;
mod ctc;
mod deskew;
mod detection;
mod engine;
mod fixed_shapes;
mod geometry;
mod gpu_pp_ocr;
mod gutters;
mod ink_fragments;
mod isolated_ink;
mod layer_sample;
mod line_batches;
mod line_image;
mod line_ink;
mod line_limit;
mod line_merge;
mod line_reader;
mod line_split;
mod line_width;
mod map_rect;
mod model;
mod model_files;
mod model_manifest;
mod numbers;
mod orientation;
mod page_detection;
mod page_reader;
mod page_state;
mod paragraphs;
mod policy;
mod policy_file;
mod policy_runs;
mod pp_ocr;
mod print_ink;
mod reading_order;
mod resample;
mod resampling_kernel;
mod script;
mod script_weights;
mod shared_model;
mod text_layer;
mod tiles;
mod uncertainty;
mod visible_words;
mod word_boxes;
mod word_reading;
mod xy_cut;
mod zoomed_detection;

pub use alphabet::Alphabet;
pub use cost_counters::{CostCounters, RunCounters};
pub use detection::BoxThresholds;
pub use engine::Engine;
pub use gpu_pp_ocr::GpuPpOcr;
pub use model::{CtcStep, OcrModel};
pub use model_files::ModelFiles;
pub use model_manifest::{DetectionManifest, DictionaryManifest, ModelManifest, Normalization, RecognitionManifest};
pub use page_reader::PageReader;
pub use policy::BatchPolicy;
pub use policy_file::BatchPolicyError;
pub use policy_runs::{DetectionRun, RecognitionRun};
pub use pp_ocr::PpOcr;
pub use quire_inference::{Device, GpuOptions, HostBuffer, LoadError, ModelError, Provider, RunBuffer};
pub use shared_model::SharedModel;
pub use text_layer::read_text_layer;
