//! Files and options of HunyuanOCR.

use std::path::PathBuf;

use quire_inference::Device;

/// Paths of the library and the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HunyuanFiles {
    /// ONNX Runtime's shared library.
    pub onnxruntime: PathBuf,
    /// Folder exported by `export/export.py`.
    pub folder: PathBuf,
}

/// Options of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HunyuanOptions {
    /// Device that runs the graphs.
    pub device: Device,
    /// Threads per run on a CPU.
    pub threads: usize,
    /// Number of pages that are decoded together. Each token of a slot needs 96 KiB in float16.
    pub slots: usize,
    /// Tokens per slot, including those of the image and the prompt; limited by the model. The image of an A4 page at
    /// 150 dpi has 2,200 tokens.
    pub slot_tokens: usize,
    /// Maximum pixels of a page; larger pages are scaled down. Default: the model's limit, which is also the maximum.
    pub max_pixels: Option<usize>,
    /// Maximum pixels of pages that are encoded in one run; they must have the same size.
    pub vision_max_pixels: usize,
}

impl HunyuanOptions {
    /// Returns options for a CPU. Two slots need 1.6 GB in float32, and pages are scaled down to A4 at 150 dpi, which
    /// leaves half of a slot for their text.
    pub const fn cpu(threads: usize) -> Self {
        let max_pixels = Some(2_000_000);
        Self { device: Device::Cpu, threads, slots: 2, slot_tokens: 4_096, max_pixels, vision_max_pixels: 0 }
    }

    /// Returns options for a GPU with 24 GB: 16 slots need 12.9 GB in addition to 2 GB of weights. Calculated, not
    /// measured.
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
