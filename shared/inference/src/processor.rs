//! Detects CPU features, and returns the provider and precision that are fastest with them.

use crate::provider::Provider;

/// Floating-point precision of OpenVINO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// bfloat16: 16-bit floats with the exponent range of 32-bit ones.
    Bf16,
    /// 32-bit floats.
    F32,
}

impl Precision {
    /// Returns OpenVINO's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
        }
    }
}

/// CPU features that decide which provider is fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent CPU features")]
pub struct Processor {
    /// Whether the vendor is Intel.
    pub is_intel: bool,
    /// Whether the CPU has AVX-512F.
    pub has_avx512: bool,
    /// Whether vector units multiply bf16 (AVX-512 BF16).
    pub has_avx512_bf16: bool,
    /// Whether matrix units multiply bf16 (AMX-BF16). Note: hypervisors may hide it.
    pub has_amx_bf16: bool,
}

impl Processor {
    /// Detects the features of the current CPU.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            Self {
                is_intel: is_intel(),
                has_avx512: std::is_x86_feature_detected!("avx512f"),
                has_avx512_bf16: std::is_x86_feature_detected!("avx512bf16"),
                has_amx_bf16: has_amx_bf16(),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            Self { is_intel: false, has_avx512: false, has_avx512_bf16: false, has_amx_bf16: false }
        }
    }

    /// Returns the precision with which OpenVINO recognizes lines fastest.
    ///
    /// Measured with one thread, a line of 800 columns and a page of 672 × 960: an AMD EPYC with AVX-512 BF16 takes
    /// 32.9 and 121 ms in bf16, and 59.2 and 210 ms in 32-bit floats, the same as ONNX Runtime. An Intel Xeon with
    /// AVX-512 BF16 and without AMX takes 74 and 240 ms in bf16, and 45 and 171 ms in 32-bit floats, because its bf16
    /// throughput is not higher. AMX was not measured. Without these instructions OpenVINO emulates bf16.
    pub const fn recognition_precision(self) -> Precision {
        if self.has_amx_bf16 || self.has_avx512_bf16 && !self.is_intel { Precision::Bf16 } else { Precision::F32 }
    }

    /// Returns the precision of detection: bf16 if the CPU has instructions for it. On Intel CPUs without AMX 32-bit
    /// floats would save 5 % of a page's time, but cost 77 MB per worker.
    pub const fn detection_precision(self) -> Precision {
        if self.has_amx_bf16 || self.has_avx512_bf16 { Precision::Bf16 } else { Precision::F32 }
    }

    /// Returns the fastest provider, if it is installed, and the reason. For comparison: ONNX Runtime takes 48 and 646
    /// ms on the Xeon of [`recognition_precision`](Self::recognition_precision).
    pub const fn fastest_provider(self) -> (Provider, &'static str) {
        match self {
            Self { has_amx_bf16: true, .. } => (Provider::OpenVino, "the CPU has AMX-BF16 instructions"),
            Self { is_intel: false, has_avx512_bf16: true, .. } => {
                (Provider::OpenVino, "the CPU has AVX-512 BF16 instructions")
            }
            Self { is_intel: true, has_avx512: true, .. } => {
                (Provider::OpenVino, "the CPU is from Intel and has AVX-512")
            }
            _ => (Provider::OnnxRuntime, "the CPU has no bf16 instructions and is not an Intel CPU with AVX-512"),
        }
    }
}

impl Provider {
    /// Returns the names of the precisions of detection and recognition on this machine.
    pub fn precisions(self) -> [&'static str; 2] {
        match self {
            Self::OnnxRuntime | Self::Cuda => ["f32"; 2],
            Self::OpenVino => {
                let processor = Processor::detect();
                [processor.detection_precision(), processor.recognition_precision()].map(Precision::as_str)
            }
            Self::TensorRt => ["f16"; 2],
        }
    }
}

/// Compares the vendor string of CPUID leaf 0.
#[cfg(target_arch = "x86_64")]
fn is_intel() -> bool {
    let leaf = std::arch::x86_64::__cpuid(0);
    [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).concat() == b"GenuineIntel"
}

/// AMX-BF16 and AMX-TILE: bits 22 and 24 of `edx` of CPUID leaf 7.
#[cfg(target_arch = "x86_64")]
fn has_amx_bf16() -> bool {
    const BITS: u32 = 1 << 22 | 1 << 24;
    let leaves = std::arch::x86_64::__cpuid(0).eax;
    leaves >= 7 && std::arch::x86_64::__cpuid_count(7, 0).edx & BITS == BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Processor =
        Processor { is_intel: false, has_avx512: false, has_avx512_bf16: false, has_amx_bf16: false };

    #[test]
    fn the_fastest_provider_depends_on_the_vendor() {
        let intel = Processor { is_intel: true, has_avx512: true, ..PLAIN };
        let with_bf16 = |processor| Processor { has_avx512_bf16: true, ..processor };
        let chosen = |processor: Processor| (processor.fastest_provider().0, processor.recognition_precision());
        assert_eq!(chosen(PLAIN), (Provider::OnnxRuntime, Precision::F32));
        assert_eq!(chosen(Processor { is_intel: true, ..PLAIN }), (Provider::OnnxRuntime, Precision::F32));
        assert_eq!(chosen(intel), (Provider::OpenVino, Precision::F32));
        assert_eq!(chosen(with_bf16(intel)), (Provider::OpenVino, Precision::F32));
        assert_eq!(chosen(with_bf16(PLAIN)), (Provider::OpenVino, Precision::Bf16));
        assert_eq!(chosen(Processor { has_amx_bf16: true, ..intel }), (Provider::OpenVino, Precision::Bf16));
        assert_eq!(
            [PLAIN, intel, with_bf16(intel)].map(Processor::detection_precision),
            [Precision::F32, Precision::F32, Precision::Bf16]
        );
    }

    #[test]
    fn the_detected_features_match_cpuinfo() {
        let Ok(said) = std::fs::read_to_string("/proc/cpuinfo") else { return };
        let Processor { is_intel, has_avx512, has_avx512_bf16, has_amx_bf16 } = Processor::detect();
        assert_eq!(is_intel, said.contains("GenuineIntel"));
        assert_eq!(has_amx_bf16, said.contains("amx_bf16"));
        assert_eq!((has_avx512, has_avx512_bf16), (said.contains("avx512f"), said.contains("avx512_bf16")));
    }
}
