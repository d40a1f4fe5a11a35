//! Inference providers: the runtime and the device.

use std::{fmt, str::FromStr};

use crate::device::Device;

/// A runtime with a device that can run the models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// ONNX Runtime on a CPU, in 32-bit floats.
    OnnxRuntime,
    /// OpenVINO on a CPU, with the precision that [`Processor`](crate::Processor) returns.
    OpenVino,
    /// ONNX Runtime's CUDA execution provider.
    Cuda,
    /// ONNX Runtime's TensorRT execution provider.
    TensorRt,
}

impl Provider {
    /// All providers.
    pub const ALL: [Self; 4] = [Self::OnnxRuntime, Self::OpenVino, Self::Cuda, Self::TensorRt];

    /// Returns the name in configuration files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "onnxruntime",
            Self::OpenVino => "openvino",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
        }
    }
}

impl From<Device> for Provider {
    /// Returns the default provider of a device.
    fn from(device: Device) -> Self {
        match device {
            Device::Cpu => Self::OnnxRuntime,
            Device::Cuda => Self::Cuda,
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not the name of a provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown provider {0:?}; must be onnxruntime, openvino, cuda or tensorrt")]
pub struct UnknownProvider(String);

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == text).ok_or_else(|| UnknownProvider(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_to_its_provider() {
        for provider in Provider::ALL {
            assert_eq!(provider.to_string().parse(), Ok(provider));
        }
        let unknown = "abacus".parse::<Provider>().map_err(|error| error.to_string());
        assert_eq!(
            unknown,
            Err("unknown provider \"abacus\"; must be onnxruntime, openvino, cuda or tensorrt".to_owned())
        );
    }
}
