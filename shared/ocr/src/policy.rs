//! Batching as data.

/// How pages and lines are put into runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The longest side of a picture at detection.
    pub detection_max_side: u32,
    /// Padded pixels of one detection run. A picture beyond it runs alone.
    pub detection_max_pixels: usize,
    /// Padded width of one recognition run, in pixels of 48-pixel strips. A line beyond it runs alone.
    pub recognition_max_width: usize,
    /// Widths are rounded up to a multiple of this.
    pub width_multiple: usize,
    /// Wider lines are read in pieces.
    pub piece_max_width: usize,
    /// For the worker's micro-batcher: how long the oldest page waits for others while the model is busy.
    pub max_wait_ms: u64,
    /// For the worker's micro-batcher: pixels of the pages of one micro-batch. A page beyond it goes alone.
    pub max_batch_pixels: u64,
}

impl Policy {
    /// For one CPU thread.
    pub const fn cpu() -> Self {
        Self {
            detection_max_side: 960,
            detection_max_pixels: 0,
            recognition_max_width: 0,
            width_multiple: 8,
            piece_max_width: 1920,
            max_wait_ms: 0,
            max_batch_pixels: 0,
        }
    }

    /// For a CUDA device.
    pub const fn cuda() -> Self {
        Self {
            detection_max_side: 960,
            detection_max_pixels: 8 * 960 * 960,
            recognition_max_width: 64 * 640,
            width_multiple: 64,
            piece_max_width: 1920,
            max_wait_ms: 20,
            max_batch_pixels: 64_000_000,
        }
    }
}
