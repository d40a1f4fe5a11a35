//! The limits of a child process, and their environment variables.

use std::{fs, time::Duration};

use quire_document::{DocumentLimits, MAX_PAGE_PIXELS, MAX_WHOLE_PIXELS, PageImage};
use quire_tasks::DocumentFormat;
use quire_telemetry::{
    env::{self, Misconfigured},
    processors,
};

/// A child is replaced after this many pages, because pdfium leaks memory with every page.
const PAGES_PER_CHILD: u32 = 200;
/// The share of the machine's memory that all children may use: the models need the rest.
const MEMORY_SHARE: u64 = 4;

/// The limits of the child processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxLimits {
    /// The memory of a child in bytes, beyond its program and the pixels of a page. Default: 512 MiB.
    pub memory: u64,
    /// The processor time, and the time, for rendering a page. Default: 15 s.
    pub page: Duration,
    /// The processor time, and the time, for validating a document. Default: 5 s.
    pub inspection: Duration,
    /// The number of children that work concurrently. Default: 1.5 per CPU, fewer if they could use more than a quarter
    /// of the memory.
    pub children: usize,
    /// The number of pages after which a child is replaced.
    pub pages_per_child: u32,
}

impl Default for SandboxLimits {
    fn default() -> Self {
        let memory = 512 << 20;
        Self {
            memory,
            page: Duration::from_secs(15),
            inspection: Duration::from_secs(5),
            children: default_children(memory),
            pages_per_child: PAGES_PER_CHILD,
        }
    }
}

impl SandboxLimits {
    /// Reads `QUIRE_SANDBOX_MEMORY_MB` (64 to 65,536; default: 512), `QUIRE_SANDBOX_PAGE_SECS` (1 to 3600; default:
    /// 15), `QUIRE_SANDBOX_INSPECT_SECS` (1 to 3600; default: 5) and `QUIRE_SANDBOX_CHILDREN` (1 to 256).
    ///
    /// # Errors
    /// [`Misconfigured`] when a value is out of its range.
    pub fn from_env() -> Result<Self, Misconfigured> {
        let default = Self::default();
        let memory = env::within("QUIRE_SANDBOX_MEMORY_MB", default.memory >> 20, 64..=65_536)? << 20;
        Ok(Self {
            memory,
            page: env::secs_within("QUIRE_SANDBOX_PAGE_SECS", default.page.as_secs(), 1..=3600)?,
            inspection: env::secs_within("QUIRE_SANDBOX_INSPECT_SECS", default.inspection.as_secs(), 1..=3600)?,
            children: env::within("QUIRE_SANDBOX_CHILDREN", default_children(memory), 1..=256)?,
            pages_per_child: default.pages_per_child,
        })
    }

    /// Returns the most bytes of a page's pixels: a page of a PDF is rendered at a bounded size, an image of up to
    /// [`MAX_WHOLE_PIXELS`] is decoded at its own size first, and a larger one row by row.
    pub(crate) fn pixel_bytes(format: DocumentFormat, limits: &DocumentLimits) -> u64 {
        let pixels = match format {
            DocumentFormat::Pdf => MAX_PAGE_PIXELS,
            _ => limits.max_pixels.clamp(MAX_PAGE_PIXELS, MAX_WHOLE_PIXELS),
        };
        pixels * PageImage::CHANNELS as u64
    }
}

/// Half as many children again as CPUs: the callers let one tenant have one per CPU, and the others need a place of
/// their own.
fn default_children(memory: u64) -> usize {
    let by_memory = available_memory().map_or(usize::MAX, |bytes| (bytes / MEMORY_SHARE / memory.max(1)) as usize);
    (processors() + processors().div_ceil(2)).min(by_memory).max(1)
}

/// Returns the memory that this process may use, by the machine and its cgroup; `None` if it is unknown.
fn available_memory() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = total.trim().trim_end_matches("kB").trim().parse().ok()?;
    // Without a limit, version 2 of cgroups has the word `max`, and version 1 a huge number.
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = files.iter().find_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    Some(limit.unwrap_or(u64::MAX).min(kilobytes * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_have_a_bounded_share_of_the_memory() {
        assert_eq!(default_children(u64::MAX / 8), 1, "at least one");
        assert_eq!(default_children(1), processors() + processors().div_ceil(2));
    }

    #[test]
    fn an_image_may_be_larger_than_a_rendered_page() {
        let limits = DocumentLimits::default();
        assert_eq!(SandboxLimits::pixel_bytes(DocumentFormat::Pdf, &limits), 48_000_000);
        assert_eq!(SandboxLimits::pixel_bytes(DocumentFormat::Png, &limits), 300_000_000);
    }
}
