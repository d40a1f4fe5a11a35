//! What runs PP-OCR's models: by what was asked for, and what the machine has.

use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use quire_inference::Processor;
use quire_native_libs::{NativesError, Progress};
use quire_pp_ocr::{ModelFiles, PpOcr, Provider};
use tracing::warn;

use crate::Device;

/// What the operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Wish {
    /// The fastest that this machine can have.
    #[default]
    Auto,
    /// ONNX Runtime on the processor.
    Onnxruntime,
    /// OpenVINO on the processor, in bf16 or 32-bit floats, as that is faster.
    Openvino,
    /// ONNX Runtime on an NVIDIA GPU.
    Cuda,
    /// ONNX Runtime with TensorRT on an NVIDIA GPU.
    Tensorrt,
}

/// What is to run the models, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) provider: Provider,
    pub(crate) reason: &'static str,
    /// Whether another one will do where this one cannot be had.
    pub(crate) is_settled: bool,
}

impl Wish {
    /// The device that it is about, where it is about one.
    pub(crate) const fn device(self) -> Option<Device> {
        match self {
            Self::Auto => None,
            Self::Onnxruntime | Self::Openvino => Some(Device::Cpu),
            Self::Cuda | Self::Tensorrt => Some(Device::Cuda),
        }
    }

    /// As it is written on the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Onnxruntime => "onnxruntime",
            Self::Openvino => "openvino",
            Self::Cuda => "cuda",
            Self::Tensorrt => "tensorrt",
        }
    }

    /// What that means on this machine.
    pub(crate) fn choice(self, device: Device) -> Choice {
        self.choice_with(device, Processor::detect(), quire_native_libs::has_openvino())
    }

    fn choice_with(self, device: Device, processor: Processor, has_openvino: bool) -> Choice {
        let asked = |provider| Choice { provider, reason: "it was asked for", is_settled: true };
        let found = |provider, reason| Choice { provider, reason, is_settled: false };
        match (self, device) {
            (Self::Onnxruntime, _) => asked(Provider::OnnxRuntime),
            (Self::Openvino, _) => asked(Provider::OpenVino),
            (Self::Cuda, _) | (Self::Auto, Device::Cuda) => asked(Provider::Cuda),
            (Self::Tensorrt, _) => asked(Provider::TensorRt),
            (Self::Auto, Device::Cpu) => match processor.fastest_provider() {
                (Provider::OpenVino, _) if !has_openvino => found(
                    Provider::OnnxRuntime,
                    "OpenVINO would be faster on this processor, but none is known for this system",
                ),
                (provider, reason) => found(provider, reason),
            },
        }
    }
}

/// The library of a provider, fetched where it is not here yet.
fn library(provider: Provider, progress: &Progress) -> Result<PathBuf, NativesError> {
    match provider {
        Provider::OpenVino => quire_native_libs::openvino(progress),
        Provider::OnnxRuntime | Provider::Cuda | Provider::TensorRt => quire_native_libs::onnxruntime(progress),
    }
}

/// Has what PP-OCR needs fetched where it is not here yet, and says what will run it: ONNX Runtime, where OpenVINO would be
/// faster but cannot be had.
///
/// # Errors
/// What is missing, and what to set.
pub(crate) fn fetch(wish: Wish, device: Device, progress: &Progress) -> anyhow::Result<Wish> {
    quire_native_libs::models(progress)?;
    let Choice { provider, is_settled, .. } = wish.choice(device);
    match library(provider, progress) {
        Ok(_) => Ok(wish),
        Err(error) if !is_settled && provider != Provider::OnnxRuntime => {
            warn_of_fallback(provider, &error);
            library(Provider::OnnxRuntime, progress)?;
            Ok(Wish::Onnxruntime)
        }
        Err(error) => Err(error.into()),
    }
}

/// PP-OCRv6 on this machine. Falls back likewise. On a CPU it has one thread: two threads in one run burn 70 % more processor
/// time for nothing, so there are more workers instead.
///
/// # Errors
/// What is missing or wrong, and what to set.
pub(crate) fn load(wish: Wish, device: Device) -> anyhow::Result<PpOcr> {
    let Choice { provider, is_settled, .. } = wish.choice(device);
    match load_by(provider) {
        // Files that one refuses, the other refuses too, and its words count.
        Err(error) if !is_settled && provider != Provider::OnnxRuntime => {
            let model = load_by(Provider::OnnxRuntime)?;
            warn_of_fallback(provider, &*error);
            Ok(model)
        }
        loaded => loaded,
    }
}

fn load_by(provider: Provider) -> anyhow::Result<PpOcr> {
    PpOcr::load(&files(provider)?, provider, 1).context("PP-OCR could not be loaded")
}

/// What a provider needs, fetched where it is not here yet.
///
/// # Errors
/// What is missing, and what to set.
pub(crate) fn files(provider: Provider) -> Result<ModelFiles, NativesError> {
    let models = quire_native_libs::models(&Progress::Silent)?;
    let library = library(provider, &Progress::Silent)?;
    Ok(ModelFiles { library, detection: models.detection, recognition: models.recognition })
}

fn warn_of_fallback(provider: Provider, error: &(dyn std::error::Error + 'static)) {
    warn!(%provider, error, "reading with onnxruntime, which takes longer");
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Processor =
        Processor { is_intel: false, has_avx512: false, has_avx512_bf16: false, has_amx_bf16: false };

    #[test]
    fn by_itself_the_fastest_that_can_be_had_is_chosen() {
        let chosen = |device, processor, has| Wish::Auto.choice_with(device, processor, has).provider;
        let with_bf16 = Processor { has_avx512_bf16: true, ..PLAIN };
        assert_eq!(chosen(Device::Cpu, with_bf16, true), Provider::OpenVino);
        assert_eq!(chosen(Device::Cpu, with_bf16, false), Provider::OnnxRuntime);
        assert_eq!(chosen(Device::Cpu, PLAIN, true), Provider::OnnxRuntime);
        assert_eq!(chosen(Device::Cuda, with_bf16, true), Provider::Cuda);
    }

    #[test]
    fn what_is_asked_for_is_chosen_and_nothing_else_will_do() {
        for wish in [Wish::Onnxruntime, Wish::Openvino, Wish::Cuda, Wish::Tensorrt] {
            let device = wish.device().expect("it is about one");
            let choice = wish.choice_with(device, PLAIN, false);
            assert_eq!((choice.provider.as_str(), choice.is_settled), (wish.as_str(), true));
            let name = wish.to_possible_value().map(|value| value.get_name().to_owned());
            assert_eq!(name.as_deref(), Some(wish.as_str()));
        }
    }
}
