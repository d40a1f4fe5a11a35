//! Errors of a model run.

/// Why a run failed. Decision: retry each half of the batch; an item that fails alone is failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The runtime returned an error.
    #[error("model run failed: {0}")]
    Run(String),
    /// Out of memory: the batch is too large for the device. Decision: as above, and limit later batches to half the
    /// size.
    #[error("out of memory in a model run: {0}")]
    Memory(String),
    /// The output has an unexpected shape.
    #[error("the model output has shape {found}, expected {expected}")]
    Shape {
        /// Expected shape.
        expected: String,
        /// Shape of the output.
        found: String,
    },
    /// The output contains NaN or infinity.
    #[error("the model output contains NaN or infinity")]
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
    /// Returns [`ModelError::Shape`].
    pub fn shape(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Shape { expected: expected.into(), found: found.into() }
    }

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
    fn out_of_memory_is_distinguished_from_other_errors() {
        fn is_out_of_memory(message: &str) -> bool {
            matches!(ModelError::from_message(message.to_owned()), ModelError::Memory(_))
        }
        assert!(is_out_of_memory(
            "bfc_arena.cc:376 AllocateRawInternal Failed to allocate memory for requested buffer of size 939"
        ));
        assert!(is_out_of_memory(
            "BFCArena::AllocateRawInternal Available memory of 0 is smaller than requested bytes of 97517568"
        ));
        assert!(is_out_of_memory("CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size);"));
        assert!(is_out_of_memory("CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED"));
        assert!(!is_out_of_memory("CUDA failure 700: an illegal memory access was encountered"));
    }
}
