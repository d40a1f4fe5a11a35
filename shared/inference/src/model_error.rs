//! Why a run of a model failed.

/// Why a run failed. Decision: split it in halves and try again; what fails alone is failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The runtime refused or broke off the run.
    #[error("the model's run failed: {0}")]
    Run(String),
    /// The device has no memory for a run of this size. Decision: as above, and later runs are no larger than what is
    /// left of this one.
    #[error("there is no memory for the model's run: {0}")]
    Memory(String),
    /// The answer is not of the shape that was asked for.
    #[error("the model answered in the shape {found}, expected {expected}")]
    Shape {
        /// What the input's shape asks for.
        expected: String,
        /// What came.
        found: String,
    },
    /// The answer holds values that are no numbers.
    #[error("the model answered with values that are no numbers")]
    NotANumber,
}

/// What ONNX Runtime says, in small letters, when a device has no memory for a run: of its arena, of CUDA, of cuDNN and
/// cuBLAS, and of the system. It has no code of its own for that.
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
    /// By what a runtime says of a run.
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
