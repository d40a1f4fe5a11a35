//! What a child process uses, read from outside of it: the child cannot lie about it.

use std::time::Duration;

/// The resources that a process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    /// The processor time since its start, of the user and the system.
    pub(crate) cpu: Duration,
    /// The size of its address space in bytes.
    pub(crate) address_space: u64,
    /// Its resident memory in bytes.
    pub(crate) resident: u64,
}

impl Usage {
    /// Reads the usage of a process; `None` if it has ended, or if the platform has no `/proc`.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&stat, rustix::param::clock_ticks_per_second(), rustix::param::page_size() as u64)
    }

    /// Parses `/proc/PID/stat` (proc(5)). The fields are counted from the end of the name, which may contain anything.
    fn parse(stat: &str, ticks_per_second: u64, page_bytes: u64) -> Option<Self> {
        let (_, fields) = stat.rsplit_once(')')?;
        // The first one here is field 3, the state.
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks = field(14)? + field(15)?;
        Some(Self {
            cpu: Duration::from_millis(ticks * 1000 / ticks_per_second.max(1)),
            address_space: field(23)?,
            resident: field(24)? * page_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_is_skipped() {
        let stat =
            "12 (a) b (c)) S 1 12 12 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1 0 99 1000000 25 18446744073709551615";
        let expected = Usage { cpu: Duration::from_secs(2), address_space: 1_000_000, resident: 25 * 4096 };
        assert_eq!(Usage::parse(stat, 100, 4096), Some(expected));
        assert_eq!(Usage::parse("12 (cut", 100, 4096), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_memory() {
        let usage = Usage::of(std::process::id()).expect("/proc is there");
        assert!(usage.resident > 0 && usage.address_space >= usage.resident, "{usage:?}");
    }
}
