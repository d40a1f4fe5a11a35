//! Selects the library that runs PP-OCR's models: by the command's arguments and this machine.

use std::error::Error;

use anyhow::Context;
use clap::{ValueEnum, builder::PossibleValue};
use quire_inference::Processor;
use quire_native_libs::Progress;
use quire_pp_ocr::{Device, PpOcr, Provider};
use tracing::warn;

use crate::model_choice::{ModelChoice, library};

/// The value of `--provider`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestedProvider {
    /// The fastest provider that this machine supports.
    #[default]
    Auto,
    /// This provider, without a replacement.
    Only(Provider),
}

impl ValueEnum for RequestedProvider {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Auto,
            Self::Only(Provider::OnnxRuntime),
            Self::Only(Provider::OpenVino),
            Self::Only(Provider::Cuda),
            Self::Only(Provider::TensorRt),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Auto => "The fastest that this machine supports",
            Self::Only(Provider::OnnxRuntime) => "ONNX Runtime on the CPU",
            Self::Only(Provider::OpenVino) => "OpenVINO on the CPU, in bf16 or 32-bit floats, whichever is faster",
            Self::Only(Provider::Cuda) => "ONNX Runtime on an NVIDIA GPU",
            Self::Only(Provider::TensorRt) => "ONNX Runtime with TensorRT on an NVIDIA GPU",
        };
        Some(PossibleValue::new(self.as_str()).help(help))
    }
}

/// The provider that runs the models, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SelectedProvider {
    pub(crate) provider: Provider,
    pub(crate) reason: &'static str,
    /// Whether it was requested explicitly: then no other provider replaces it.
    pub(crate) is_required: bool,
}

impl RequestedProvider {
    /// Returns the device that the provider runs on; `None` for `auto`.
    pub(crate) const fn device(self) -> Option<Device> {
        match self {
            Self::Auto => None,
            Self::Only(Provider::OnnxRuntime | Provider::OpenVino) => Some(Device::Cpu),
            Self::Only(Provider::Cuda | Provider::TensorRt) => Some(Device::Cuda),
        }
    }

    /// Returns the value on the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Only(provider) => provider.as_str(),
        }
    }

    /// Selects the provider on this machine.
    pub(crate) fn select(self, device: Device) -> SelectedProvider {
        self.select_for(device, Processor::detect(), quire_native_libs::has_openvino())
    }

    fn select_for(self, device: Device, processor: Processor, has_openvino: bool) -> SelectedProvider {
        let requested = match (self, device) {
            (Self::Only(provider), _) => Some(provider),
            (Self::Auto, Device::Cuda) => Some(Provider::Cuda),
            (Self::Auto, Device::Cpu) => None,
        };
        if let Some(provider) = requested {
            return SelectedProvider { provider, reason: "requested explicitly", is_required: true };
        }
        let (provider, reason) = match processor.fastest_provider() {
            (Provider::OpenVino, _) if !has_openvino => {
                (Provider::OnnxRuntime, "OpenVINO would be faster on this CPU, but has no build for this system")
            }
            fastest => fastest,
        };
        SelectedProvider { provider, reason, is_required: false }
    }
}

/// Downloads what PP-OCR needs and is missing, and returns the provider to use: ONNX Runtime, if OpenVINO would be
/// faster but is not available.
///
/// # Errors
/// When a library or model is missing; the error names the variable to set.
pub(crate) fn fetch(
    models: &[ModelChoice<'_>],
    requested: RequestedProvider,
    device: Device,
    progress: &Progress,
) -> anyhow::Result<RequestedProvider> {
    models.iter().try_for_each(|choice| choice.fetch(progress))?;
    let SelectedProvider { provider, is_required, .. } = requested.select(device);
    match library(provider, progress) {
        Ok(_) => Ok(requested),
        Err(error) if !is_required && provider != Provider::OnnxRuntime => {
            warn_of_fallback(provider, &error);
            library(Provider::OnnxRuntime, progress)?;
            Ok(RequestedProvider::Only(Provider::OnnxRuntime))
        }
        Err(error) => Err(error.into()),
    }
}

/// Loads models with one thread each: on a CPU, two threads in one run use 70 % more CPU time without being faster, so
/// there are more workers instead. Falls back to ONNX Runtime like [`fetch`].
///
/// # Errors
/// When a library or model is missing or invalid; the error names the variable to set.
pub(crate) fn load(
    choice: &ModelChoice<'_>,
    requested: RequestedProvider,
    device: Device,
) -> anyhow::Result<Vec<PpOcr>> {
    let SelectedProvider { provider, is_required, .. } = requested.select(device);
    match load_with(choice, provider) {
        Err(error) if !is_required && provider != Provider::OnnxRuntime => {
            // If both fail, e.g. because of the model files, ONNX Runtime's error is the clearer one.
            let models = load_with(choice, Provider::OnnxRuntime)?;
            warn_of_fallback(provider, &*error);
            Ok(models)
        }
        loaded => loaded,
    }
}

fn load_with(choice: &ModelChoice<'_>, provider: Provider) -> anyhow::Result<Vec<PpOcr>> {
    let files = choice.files(provider, &Progress::Silent)?;
    let load = |files| PpOcr::load(files, provider, 1).context("cannot load PP-OCR");
    files.iter().map(load).collect()
}

fn warn_of_fallback(provider: Provider, error: &(dyn Error + 'static)) {
    warn!(%provider, error, "falling back to onnxruntime, which is slower");
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN_CPU: Processor =
        Processor { is_intel: false, has_avx512: false, has_avx512_bf16: false, has_amx_bf16: false };

    #[test]
    fn auto_selects_the_fastest_available_provider() {
        let select = |device, processor, has_openvino| {
            RequestedProvider::Auto.select_for(device, processor, has_openvino).provider
        };
        let with_bf16 = Processor { has_avx512_bf16: true, ..PLAIN_CPU };
        assert_eq!(select(Device::Cpu, with_bf16, true), Provider::OpenVino);
        assert_eq!(select(Device::Cpu, with_bf16, false), Provider::OnnxRuntime);
        assert_eq!(select(Device::Cpu, PLAIN_CPU, true), Provider::OnnxRuntime);
        assert_eq!(select(Device::Cuda, with_bf16, true), Provider::Cuda);
    }

    #[test]
    fn a_requested_provider_is_required() {
        for provider in Provider::ALL {
            let requested = RequestedProvider::Only(provider);
            let device = requested.device().expect("every provider has a device");
            let selected = requested.select_for(device, PLAIN_CPU, false);
            assert_eq!((selected.provider, selected.is_required), (provider, true));
        }
    }

    #[test]
    fn the_command_line_has_every_provider() {
        let names: Vec<&str> = RequestedProvider::value_variants().iter().map(|value| value.as_str()).collect();
        assert_eq!(names, ["auto", "onnxruntime", "openvino", "cuda", "tensorrt"]);
        let parsed = RequestedProvider::from_str("openvino", false);
        assert_eq!(parsed, Ok(RequestedProvider::Only(Provider::OpenVino)));
    }
}
