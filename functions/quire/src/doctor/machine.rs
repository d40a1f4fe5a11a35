//! What there is to read with.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

/// This machine, as far as reading depends on it.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) system: String,
    pub(super) arch: &'static str,
    pub(super) processor: Option<String>,
    /// Instructions that models are run with, and whether the processor has them.
    pub(super) instructions: BTreeMap<&'static str, bool>,
    /// How many processors this process may keep busy, by its affinity and its control group.
    pub(super) processors: usize,
    /// How much memory this process may have, by the machine and by its control group.
    pub(super) memory_bytes: Option<u64>,
    pub(super) available_bytes: Option<u64>,
}

impl Machine {
    pub(super) fn this() -> Self {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let total = kilobytes(&meminfo, "MemTotal:").or_else(memory_of_macos);
        let limit = memory_limit();
        Self {
            system: system(),
            arch: std::env::consts::ARCH,
            processor: processor(),
            instructions: instructions(),
            processors: quire_telemetry::processors(),
            memory_bytes: total.into_iter().chain(limit).min(),
            available_bytes: kilobytes(&meminfo, "MemAvailable:"),
        }
    }
}

/// A folder and the disk that it is on.
#[derive(Debug, Serialize)]
pub(super) struct Disk {
    pub(super) path: PathBuf,
    pub(super) writable: bool,
    pub(super) free_bytes: Option<u64>,
}

impl Disk {
    /// Of a folder that may have to be made: then what counts is where.
    pub(super) fn of(path: &Path) -> Self {
        let there = path.ancestors().find(|ancestor| ancestor.is_dir());
        let writable = there.is_some_and(|there| tempfile::tempfile_in(there).is_ok());
        let free = there.and_then(|there| rustix::fs::statvfs(there).ok()).map(|disk| disk.f_bavail * disk.f_frsize);
        Self { path: path.to_owned(), writable, free_bytes: free }
    }
}

/// NVIDIA GPUs, and what keeps them from being used.
#[derive(Debug, Serialize)]
pub(super) struct Gpu {
    pub(super) found: Vec<String>,
    /// Nothing, where CUDA can be used.
    pub(super) problem: Option<String>,
}

impl Gpu {
    /// What CUDA lacks is looked for where there is a GPU, or where one is to be used.
    pub(super) fn of_this_machine(wanted: bool, onnxruntime: Option<&Path>) -> Self {
        let found = gpus();
        let asked = wanted || !found.is_empty();
        let problem = onnxruntime.filter(|_| asked).and_then(|library| quire_inference::check_cuda(library).err());
        Self { found, problem: problem.map(|error| error.to_string()) }
    }
}

/// As the driver calls them.
fn gpus() -> Vec<String> {
    let entries = fs::read_dir("/proc/driver/nvidia/gpus").into_iter().flatten().flatten();
    let model = |folder: PathBuf| {
        let information = fs::read_to_string(folder.join("information")).ok()?;
        let line = information.lines().find_map(|line| line.strip_prefix("Model:"))?;
        Some(line.trim().to_owned())
    };
    entries.filter_map(|entry| model(entry.path())).collect()
}

fn system() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| std::env::consts::OS.to_owned(), |name| name.trim_matches('"').to_owned())
}

fn processor() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches([' ', '\t', ':']).trim().to_owned())
}

#[cfg(target_arch = "x86_64")]
fn instructions() -> BTreeMap<&'static str, bool> {
    [
        ("AVX2", std::is_x86_feature_detected!("avx2")),
        ("AVX-512", std::is_x86_feature_detected!("avx512f")),
        ("AVX-512 VNNI", std::is_x86_feature_detected!("avx512vnni")),
        ("AVX-512 BF16", std::is_x86_feature_detected!("avx512bf16")),
    ]
    .into()
}

#[cfg(not(target_arch = "x86_64"))]
fn instructions() -> BTreeMap<&'static str, bool> {
    BTreeMap::new()
}

fn kilobytes(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(number * 1024)
}

fn memory_of_macos() -> Option<u64> {
    let asked = std::process::Command::new("sysctl").args(["-n", "hw.memsize"]).output().ok()?;
    String::from_utf8(asked.stdout).ok()?.trim().parse().ok()
}

/// The control group's, of version 2 and 1; without a limit there is a word or a huge number.
fn memory_limit() -> Option<u64> {
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    files.iter().find_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
}
