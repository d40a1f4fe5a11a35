//! Errors of a model run.

/// Why a run failed. Decision: retry each half of the batch; an item that fails alone is failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The runtime returned an error.
    #[error("the model's run failed: {0}")]
    Run(String),
    /// Out of memory: the batch is too large for the device. Decision: as above, and limit later batches to half the
    /// size.
    #[error("there is no memory for the model's run: {0}")]
    Memory(String),
    /// The output has an unexpected shape.
    #[error("the model answered in the shape {found}, expected {expected}")]
    Shape {
        /// Expected shape.
        expected: String,
        /// Shape of the output.
        found: String,
    },
    /// The output contains NaN or infinity.
    #[error("the model answered with values that are no numbers")]
    NotANumber,
}

/// Lowercase parts of out-of-memory messages of ONNX Runtime's arena, CUDA, cuDNN, cuBLAS and the operating system.
/// ONNX Runtime has no error code for this case.
const NO_MEMORY: [&str; 7] = [
    "failed to allocate memory",
    "smaller than requested bytes",
    "out of memory",
    "out_of_memory",
    "outofmemory",
    "alloc_failed",
    "bad_alloc",
];

impl ModelError {
    /// Classifies the error message of a runtime.
    pub(crate) fn from_message(text: String) -> Self {
        let said = text.to_lowercase();
        let no_memory = NO_MEMORY.iter().any(|known| said.contains(known));
        if no_memory { Self::Memory(text) } else { Self::Run(text) }
    }
}

impl From<ort::Error> for ModelError {
    fn from(error: ort::Error) -> Self {
        Self::from_message(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_memory_is_told_from_one_that_failed() {
        let told = |text: &str| matches!(ModelError::from_message(text.to_owned()), ModelError::Memory(_));
        assert!(told(
            "bfc_arena.cc:376 AllocateRawInternal Failed to allocate memory for requested buffer of size 939"
        ));
        assert!(told(
            "BFCArena::AllocateRawInternal Available memory of 0 is smaller than requested bytes of 97517568"
        ));
        assert!(told("CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size);"));
        assert!(told("CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED"));
        assert!(!told("CUDA failure 700: an illegal memory access was encountered"));
    }
}
