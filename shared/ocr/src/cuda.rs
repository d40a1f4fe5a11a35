//! ONNX Runtime's CUDA execution provider.

use std::path::Path;

use ort::{
    ep::{self, ArenaExtendStrategy, cuda::ConvAlgorithmSearch},
    session::builder::SessionBuilder,
};

use crate::LoadError;

/// What stands beside `libonnxruntime.so` in its GPU build.
const PROVIDERS: [&str; 2] = ["libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"];
/// What those load by name, dependencies first, and where it comes from.
const LIBRARIES: [(&str, &str); 7] = [
    ("libcuda.so.1", "NVIDIA driver R580 or newer"),
    ("libcudart.so.13", "CUDA 13"),
    ("libcublasLt.so.13", "CUDA 13"),
    ("libcublas.so.13", "CUDA 13"),
    ("libcurand.so.10", "CUDA 13"),
    ("libcufft.so.12", "CUDA 13"),
    ("libcudnn.so.9", "cuDNN 9"),
];

/// Finds all that is missing. ONNX Runtime would name one library at a time, and no remedy.
pub(crate) fn require(library: &Path) -> Result<(), LoadError> {
    let providers = PROVIDERS.map(|provider| library.with_file_name(provider));
    let absent = providers.iter().filter(|provider| !provider.is_file());
    let mut missing: Vec<String> = absent.map(|provider| provider.display().to_string()).collect();
    for (name, origin) in LIBRARIES {
        if ort::util::preload_dylib(name).is_err() {
            missing.push(format!("{name} ({origin})"));
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(LoadError::CudaMissing { missing }) }
}

/// Without `error_on_failure`, a session that cannot have the GPU would read on the CPU and say nothing.
pub(crate) fn register(builder: SessionBuilder) -> Result<SessionBuilder, LoadError> {
    let provider = ep::CUDA::default()
        .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested)
        // The exhaustive search measures every kernel again for every new shape.
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
        .build()
        .error_on_failure();
    builder.with_execution_providers([provider]).map_err(|error| LoadError::Cuda { reason: error.to_string() })
}
