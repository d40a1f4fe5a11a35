//! ONNX Runtime's CUDA and TensorRT execution providers.

use std::{num::NonZero, path::Path};

use ort::{
    ep::{self, ArenaExtendStrategy, cuda::ConvAlgorithmSearch},
    session::builder::SessionBuilder,
};

use crate::{
    gpu_options::{GpuOptions, ShapeProfile},
    load_error::LoadError,
};

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
/// As above, for TensorRT, which takes what it cannot do itself to CUDA.
const TENSORRT_PROVIDER: &str = "libonnxruntime_providers_tensorrt.so";
const TENSORRT_LIBRARIES: [(&str, &str); 3] = [
    ("libnvinfer.so.10", "TensorRT 10"),
    ("libnvinfer_plugin.so.10", "TensorRT 10"),
    ("libnvonnxparser.so.10", "TensorRT 10"),
];

/// Finds out whether CUDA can be used with this build of ONNX Runtime, and all that is missing. ONNX Runtime would name
/// one library at a time, and no remedy.
///
/// # Errors
/// [`LoadError`] says what is missing.
pub fn check_cuda(library: &Path) -> Result<(), LoadError> {
    let missing = missing(library, &PROVIDERS, &LIBRARIES);
    if missing.is_empty() { Ok(()) } else { Err(LoadError::CudaMissing { missing }) }
}

/// As [`check_cuda`], for TensorRT.
///
/// # Errors
/// [`LoadError`] says what is missing.
pub fn check_tensorrt(library: &Path) -> Result<(), LoadError> {
    let mut absent = missing(library, &PROVIDERS, &LIBRARIES);
    absent.extend(missing(library, &[TENSORRT_PROVIDER], &TENSORRT_LIBRARIES));
    if absent.is_empty() { Ok(()) } else { Err(LoadError::TensorRtMissing { missing: absent }) }
}

fn missing(library: &Path, providers: &[&str], libraries: &[(&str, &str)]) -> Vec<String> {
    let providers = providers.iter().map(|provider| library.with_file_name(provider));
    let absent = providers.filter(|provider| !provider.is_file()).map(|provider| provider.display().to_string());
    let mut missing: Vec<String> = absent.collect();
    for (name, origin) in libraries {
        if ort::util::preload_dylib(*name).is_err() {
            missing.push(format!("{name} ({origin})"));
        }
    }
    missing
}

/// Without `error_on_failure`, a session that cannot have the GPU would read on the CPU and say nothing.
pub(crate) fn register(
    builder: SessionBuilder,
    memory_bytes: Option<NonZero<usize>>,
) -> Result<SessionBuilder, LoadError> {
    let provider = cuda(memory_bytes).build().error_on_failure();
    builder.with_execution_providers([provider]).map_err(|error| LoadError::Cuda { reason: error.to_string() })
}

fn cuda(memory_bytes: Option<NonZero<usize>>) -> ep::CUDA {
    let provider = ep::CUDA::default()
        .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested)
        // The exhaustive search measures every kernel again for every new shape.
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
        // 10 bits of mantissa in products, 32-bit floats in sums: more than the bf16 that CPUs read with.
        .with_tf32(true);
    match memory_bytes {
        Some(bytes) => provider.with_memory_limit(bytes.get()),
        None => provider,
    }
}

/// TensorRT in 16-bit floats, and CUDA for what it leaves.
pub(crate) fn register_tensorrt(
    builder: SessionBuilder,
    options: &GpuOptions,
    profile: &ShapeProfile,
) -> Result<SessionBuilder, LoadError> {
    let refused = |reason: String| LoadError::Cuda { reason };
    std::fs::create_dir_all(&options.engine_cache)
        .map_err(|error| refused(format!("{}: {error}", options.engine_cache.display())))?;
    let folder = options.engine_cache.display();
    let mut tensorrt = ep::TensorRT::default()
        .with_fp16(true)
        // Where 16 bits are too few: the variance of a layer's values.
        .with_layer_norm_fp32_fallback(true)
        .with_engine_cache(true)
        .with_engine_cache_path(folder.to_string())
        .with_timing_cache(true)
        .with_timing_cache_path(folder.to_string());
    if let Some([least, usual, most]) = profile {
        tensorrt = tensorrt.with_profile_min_shapes(least).with_profile_opt_shapes(usual).with_profile_max_shapes(most);
    }
    let providers = [tensorrt.build().error_on_failure(), cuda(options.memory_bytes).build().error_on_failure()];
    builder.with_execution_providers(providers).map_err(|error| refused(error.to_string()))
}
