//! Page images to text through ONNX Runtime or OpenVINO: line by line with PP-OCR, or end to end with [`HunyuanOcr`].
//!
//! [`Engine::read`] takes a micro-batch of pages of any documents; a [`PageStream`] takes pages while others are in flight,
//! and [`page_of_answer`] makes of what it says what the mode asks for. Line by line:
//!
//! ```text
//! page ── resample ──> [N,3,H,W] ── detect ──> [N,H,W] ── components, detection ──> places of lines
//!                                                                                      │ orientation
//! text <── sheet, reading_order <── ctc <── [N,W/8] <── recognize <── [N,3,48,W] <── strip, lines
//! ```
//!
//! The two model runs stand behind [`Model`]; everything else is pure. [`Policy`] says what shares a run. Synchronous,
//! one thread, no network.
#![warn(missing_docs)]

mod alphabet;
mod answer;
mod budget;
mod closer;
mod components;
mod ctc;
#[cfg_attr(not(feature = "cuda"), path = "without_cuda.rs")]
mod cuda;
mod detection;
mod device;
mod engine;
mod geometry;
mod gpu;
mod gpu_graph;
mod gpu_shapes;
mod hands;
mod hunyuan;
mod leveling;
mod line_reader;
mod lines;
mod model;
mod network;
mod onnx_file;
mod onnx_split;
mod openvino;
mod orientation;
mod paragraphs;
mod part;
mod policy;
mod policy_file;
mod policy_runs;
mod pp_ocr;
mod processor;
mod protobuf;
mod provider;
mod reading_order;
mod resample;
mod run_buffer;
mod runs;
mod runtime;
mod sheet;
mod spacing;
mod strip;
mod taps;
mod work;

pub use alphabet::Alphabet;
pub use answer::page_of_answer;
pub use device::SharedModel;
pub use engine::{Engine, LocalEngine, PageReader, PageStream};
pub use gpu::{GpuOptions, GpuPpOcr};
pub use hunyuan::{
    End, HunyuanFiles, HunyuanOcr, HunyuanOptions, Instruction, InstructionError, PageFeed, PageJob, ReadError,
    Reading, TailGuard, default_prompts, without_repetition,
};
pub use model::{Model, ModelError, Step};
pub use onnx_file::{OnnxFile, Outlet};
pub use policy::Policy;
pub use policy_file::InvalidPolicy;
pub use policy_runs::{PixelRun, StripRun};
pub use pp_ocr::{ModelFiles, PpOcr};
pub use processor::{Precision, Processor};
pub use provider::{Provider, UnknownProvider};
pub use run_buffer::{Room, RunBuffer};
pub use runtime::{Device, LoadError, check_cuda};
pub use work::{Runs, Work};
