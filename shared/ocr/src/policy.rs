//! Batching as data: what shares a run of the model, and what shares a micro-batch.

use crate::Provider;

/// How pages and lines are put into runs. An item over a budget runs alone; a budget of 0 has every item run alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Pixels of one picture at detection: larger ones are reduced to about this area.
    pub detection_page_pixels: usize,
    /// Pixels of one detection run. Only pictures of the same size share one.
    pub detection_max_pixels: usize,
    /// Padded width of one recognition run: its widest strip times their number.
    pub recognition_max_width: usize,
    /// Widths of recognition runs are rounded up to a multiple of this.
    pub width_multiple: usize,
    /// Wider lines are cut in their gaps and read in pieces. The model's answer takes 9.4 kB a column.
    pub piece_max_width: usize,
    /// For the worker's micro-batcher: how long the oldest page waits for others.
    pub max_wait_ms: u64,
    /// For the worker's micro-batcher: pixels of the pages of one micro-batch.
    pub max_batch_pixels: u64,
}

/// 672 × 960, an A4 page. Printed pages still read without an error at two thirds of this area, so that there is room for
/// smaller print; twice the area doubles the time of detection, which is a tenth of a page's, and its 100 MB.
const PAGE_PIXELS: usize = 672 * 960;

impl Policy {
    /// For what runs the models.
    pub const fn of(provider: Provider) -> Self {
        match provider {
            Provider::OnnxRuntime | Provider::OpenVino => Self::cpu(),
            Provider::Cuda | Provider::TensorRt => Self::cuda(),
        }
    }

    /// For one thread of a CPU: one page and one line at a time, at its own width. In batches of 6 lines of like width a
    /// page costs 1.3 times as much, in batches of 32 twice, and padding changes the text of a few lines.
    pub const fn cpu() -> Self {
        Self {
            detection_page_pixels: PAGE_PIXELS,
            detection_max_pixels: 0,
            recognition_max_width: 0,
            width_multiple: 8,
            // All but 2 % of the lines of A4 pages are narrower. At 1,920 a process takes 20 MB more.
            piece_max_width: 1_600,
            max_wait_ms: 0,
            max_batch_pixels: 0,
        }
    }

    /// For a GPU: whole micro-batches in few, large runs of few widths. Chosen by the arithmetic of memory (a run's
    /// answer takes 0.4 GB), not yet measured.
    pub const fn cuda() -> Self {
        Self {
            detection_page_pixels: PAGE_PIXELS,
            detection_max_pixels: 16 * PAGE_PIXELS,
            recognition_max_width: 64 * 640,
            width_multiple: 64,
            piece_max_width: 1_600,
            max_wait_ms: 20,
            // 16 pages of A4 at 200 dpi.
            max_batch_pixels: 16 * 1_654 * 2_339,
        }
    }
}
