//! Resource limits.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::protection::Protection;

/// Standard streams, the socket, the document with its duplicates, and a folder with a font.
const MAX_DESCRIPTORS: u64 = 16;

/// The limits on memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryLimits {
    /// The bytes that one step may use.
    pub(crate) step: u64,
}

impl MemoryLimits {
    /// Returns the largest growth of the address space, which the kernel enforces. It is twice the limit, which the
    /// parent enforces: an allocation that fails is often ignored by pdfium, which then omits a part of the page
    /// silently, while a child that is ended by its parent fails the page.
    pub(crate) const fn address_space(self) -> u64 {
        self.step.saturating_mul(2)
    }

    /// Returns the largest block that may be allocated at once.
    pub(crate) const fn block(self) -> u64 {
        self.step
    }
}

/// Limits the resources of this process for good.
pub(super) fn limit(memory: MemoryLimits) -> Protection {
    let used = address_space().unwrap_or(0);
    let limits = [
        (Resource::As, used.saturating_add(memory.address_space())),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        (Resource::Nofile, MAX_DESCRIPTORS),
        // For root it has no effect; there the filter of system calls has.
        (Resource::Nproc, 0),
    ];
    let failed: Vec<String> = limits.into_iter().filter_map(|(resource, limit)| lower(resource, limit).err()).collect();
    if failed.is_empty() { Protection::Enforced } else { Protection::Partial { reason: failed.join(", ") } }
}

/// Lowers both limits of a resource: they cannot be raised again.
fn lower(resource: Resource, limit: u64) -> Result<(), String> {
    let limit = getrlimit(resource).maximum.map_or(limit, |maximum| maximum.min(limit));
    let lowered = Rlimit { current: Some(limit), maximum: Some(limit) };
    setrlimit(resource, lowered).map_err(|error| format!("{resource:?}: {error}"))
}

/// Sets the soft limit of a resource, at most its hard limit.
pub(crate) fn set_soft_limit(resource: Resource, limit: u64) {
    let maximum = getrlimit(resource).maximum;
    let current = Some(maximum.map_or(limit, |maximum| maximum.min(limit)));
    // The parent enforces the limit, too.
    let _ = setrlimit(resource, Rlimit { current, maximum });
}

/// Returns the size of the address space in bytes; `None` on a platform without `/proc`.
fn address_space() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').next()?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
