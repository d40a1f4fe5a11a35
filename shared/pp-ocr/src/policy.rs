//! Batching as data: what shares a run of the model, and what shares a micro-batch.

use serde::{Deserialize, Serialize};

/// How pages and lines are put into runs. An item over a budget runs alone; a budget of 0 has every item run alone.
///
/// The defaults stand in `policies.json` beside this crate, each with where it was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchPolicy {
    /// Pixels of one picture at detection: larger ones are reduced to about this area.
    pub detection_page_pixels: usize,
    /// Pixels of one detection run. Only pictures of the same size share one.
    pub detection_max_pixels: usize,
    /// Widths and heights of pictures at detection, in pixels: a picture is drawn into one of them. Empty: exact sizes.
    pub detection_shapes: Vec<(u32, u32)>,
    /// Padded width of one recognition run, in columns: its widest strip times their number.
    pub recognition_max_width: usize,
    /// Widths of recognition runs, in columns and ascending: a strip is padded to the first that holds it. Empty, or for a
    /// strip that none holds: its own, rounded up to [`width_multiple`](Self::width_multiple).
    pub recognition_widths: Vec<usize>,
    /// Widths of recognition runs are rounded up to a multiple of this, in columns.
    pub width_multiple: usize,
    /// Whether a run is filled up with empty items to a power of two, so that a device meets few shapes, all of them at
    /// start.
    pub fixed_batches: bool,
    /// Wider lines are cut in their gaps and read in pieces; in columns. The model's answer takes 9.4 kB a column.
    pub piece_max_width: usize,
    /// For the worker's micro-batcher: pixels of the pages of one micro-batch.
    pub max_batch_pixels: u64,
    /// For the worker's micro-batcher: how long the oldest page waits for others.
    pub max_wait_ms: u64,
    /// Micro-batches in work at once, each on a thread of its own: the device has a run to do while others are prepared.
    pub readers: usize,
    /// Threads that prepare a run's input and look through its answer. 1: the reader's own; 0: as many as processors.
    #[serde(rename = "hands")]
    pub processing_threads: usize,
}
