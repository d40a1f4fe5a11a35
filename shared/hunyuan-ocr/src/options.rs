//! What HunyuanOCR is loaded from, and how it is run.

use std::path::PathBuf;

use quire_inference::Device;

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
