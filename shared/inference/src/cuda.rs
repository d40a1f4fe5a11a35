//! Registers ONNX Runtime's CUDA and TensorRT execution providers, and checks that their libraries are installed.

use std::{num::NonZero, path::Path};

use ort::{
    ep::{self, ArenaExtendStrategy, cuda::ConvAlgorithmSearch},
    session::builder::SessionBuilder,
};

use crate::{
    gpu_options::{GpuOptions, ShapeProfile},
    load_error::LoadError,
};

/// Provider libraries in the folder of `libonnxruntime.so`, in the GPU build of ONNX Runtime.
const PROVIDERS: [&str; 2] = ["libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"];
/// Libraries that the CUDA provider loads by name, dependencies first, with the package that contains each.
const LIBRARIES: [(&str, &str); 7] = [
    ("libcuda.so.1", "NVIDIA driver R580 or newer"),
    ("libcudart.so.13", "CUDA 13"),
    ("libcublasLt.so.13", "CUDA 13"),
    ("libcublas.so.13", "CUDA 13"),
    ("libcurand.so.10", "CUDA 13"),
    ("libcufft.so.12", "CUDA 13"),
    ("libcudnn.so.9", "cuDNN 9"),
];
/// The same for TensorRT, which runs the operators that it does not support with CUDA.
const TENSORRT_PROVIDER: &str = "libonnxruntime_providers_tensorrt.so";
const TENSORRT_LIBRARIES: [(&str, &str); 3] = [
    ("libnvinfer.so.10", "TensorRT 10"),
    ("libnvinfer_plugin.so.10", "TensorRT 10"),
    ("libnvonnxparser.so.10", "TensorRT 10"),
];

/// Checks that CUDA can be used with this build of ONNX Runtime. Collects every missing library, because ONNX Runtime
/// reports only the first one, without a hint how to install it.
///
/// # Errors
/// [`LoadError::CudaMissing`] lists what is missing.
pub fn check_cuda(library: &Path) -> Result<(), LoadError> {
    let missing = missing(library, &PROVIDERS, &LIBRARIES);
    if missing.is_empty() { Ok(()) } else { Err(LoadError::CudaMissing { missing }) }
}

/// Same as [`check_cuda`], for TensorRT.
///
/// # Errors
/// [`LoadError::TensorRtMissing`] lists what is missing.
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

/// Registers the CUDA provider. Note: without `error_on_failure` ONNX Runtime silently falls back to the CPU.
pub(crate) fn register(
    builder: SessionBuilder,
    memory_bytes: Option<NonZero<usize>>,
) -> Result<SessionBuilder, LoadError> {
    let provider = cuda(memory_bytes).build().error_on_failure();
    builder.with_execution_providers([provider]).map_err(|error| LoadError::cuda(&error))
}

fn cuda(memory_bytes: Option<NonZero<usize>>) -> ep::CUDA {
    let provider = ep::CUDA::default()
        .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested)
        // The exhaustive search would benchmark every kernel again for every new shape.
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
        // TF32: products with a 10-bit mantissa, sums in 32-bit floats. More precise than bf16 on CPUs.
        .with_tf32(true);
    match memory_bytes {
        Some(bytes) => provider.with_memory_limit(bytes.get()),
        None => provider,
    }
}

/// Registers TensorRT with 16-bit floats, and CUDA for the operators that TensorRT does not support.
pub(crate) fn register_tensorrt(
    builder: SessionBuilder,
    options: &GpuOptions,
    profile: &ShapeProfile,
) -> Result<SessionBuilder, LoadError> {
    std::fs::create_dir_all(&options.engine_cache)
        .map_err(|error| LoadError::cuda(&format!("{}: {error}", options.engine_cache.display())))?;
    let folder = options.engine_cache.display();
    let mut tensorrt = ep::TensorRT::default()
        .with_fp16(true)
        // Layer normalization overflows in 16 bits: it squares values to compute the variance.
        .with_layer_norm_fp32_fallback(true)
        .with_engine_cache(true)
        .with_engine_cache_path(folder.to_string())
        .with_timing_cache(true)
        .with_timing_cache_path(folder.to_string());
    if let Some([least, usual, most]) = profile {
        tensorrt = tensorrt.with_profile_min_shapes(least).with_profile_opt_shapes(usual).with_profile_max_shapes(most);
    }
    let providers = [tensorrt.build().error_on_failure(), cuda(options.memory_bytes).build().error_on_failure()];
    builder.with_execution_providers(providers).map_err(|error| LoadError::cuda(&error))
}
