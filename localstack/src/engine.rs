//! The engine that `quire` reads with.

use anyhow::Context;
use quire_natives::Progress;
use quire_ocr::{Engine, ModelFiles, Policy, PpOcr};

use crate::Device;

/// PP-OCRv6 on a device.
///
/// # Errors
/// What is missing, and what to set.
pub fn pp_ocr(device: Device) -> anyhow::Result<Engine> {
    Ok(Engine::new(Box::new(pp_ocr_model(device)?), policy(device)))
}

/// The model alone. On a CPU it has one thread: two threads in one run burn 70 % more processor time for nothing, so there
/// are more workers instead.
///
/// # Errors
/// What is missing, and what to set.
pub fn pp_ocr_model(device: Device) -> anyhow::Result<PpOcr> {
    let models = quire_natives::models(&Progress::Silent)?;
    let files = ModelFiles {
        onnxruntime: quire_natives::onnxruntime(&Progress::Silent)?,
        detection: models.detection,
        recognition: models.recognition,
    };
    let device = match device {
        Device::Cpu => quire_ocr::Device::Cpu,
        Device::Cuda => quire_ocr::Device::Cuda,
    };
    PpOcr::load(&files, device, 1).context("PP-OCR could not be loaded")
}

/// How a device batches.
pub const fn policy(device: Device) -> Policy {
    match device {
        Device::Cpu => Policy::cpu(),
        Device::Cuda => Policy::cuda(),
    }
}
