//! The batching policy: which items share a run or a micro-batch.

use serde::{Deserialize, Serialize};

/// Batching policy: how pages and lines are grouped into runs. An item over a budget runs alone; with a budget of 0
/// every item runs alone.
///
/// The defaults are in `policies.json`, each with the measurement that it is based on.
///
/// # Examples
/// ```
/// use quire_pp_ocr::{BatchPolicy, Provider};
///
/// let policy = BatchPolicy { recognition_max_width: 1_280, ..BatchPolicy::for_provider(Provider::Cuda) };
/// let runs = policy.pack_lines(&[600, 100, 550]);
/// assert_eq!(runs[0].members, [0, 2], "the widest lines come first");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchPolicy {
    /// Maximum pixels of a page at detection; larger pages are scaled down.
    pub detection_page_pixels: usize,
    /// Maximum pixels of a detection run. Only pages of the same size share a run.
    pub detection_max_pixels: usize,
    /// Allowed widths and heights at detection, in pixels. Empty: any size.
    pub detection_shapes: Vec<(u32, u32)>,
    /// Maximum padded width of a recognition run, in columns: its widest image times the batch size.
    pub recognition_max_width: usize,
    /// Allowed widths of recognition runs, in columns, ascending: an image is padded to the next larger one. If there
    /// is none, its own width is rounded up to [`width_multiple`](Self::width_multiple).
    pub recognition_widths: Vec<usize>,
    /// Widths of recognition runs are rounded up to a multiple of this, in columns.
    pub width_multiple: usize,
    /// Whether batch sizes are padded to a power of two, so that the device meets only a few shapes, all of them during
    /// warm-up.
    pub fixed_batches: bool,
    /// Maximum width of a line image, in columns; wider lines are cut in gaps. The model's output has 9.4 kB per
    /// column.
    pub piece_max_width: usize,
    /// Maximum pixels of the pages of a micro-batch; for the worker's batcher.
    pub max_batch_pixels: u64,
    /// How long the oldest page waits for others, in milliseconds; for the worker's batcher.
    pub max_wait_ms: u64,
    /// Concurrent micro-batches, each on its own thread: the device computes one while others are prepared.
    pub readers: usize,
    /// Threads for pre- and post-processing. 1: the reader's own thread; 0: one per CPU core.
    #[serde(rename = "hands")]
    pub processing_threads: usize,
}
