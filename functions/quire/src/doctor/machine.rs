//! The hardware of this machine.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

/// The properties of this machine that reading depends on.
#[derive(Debug, Serialize)]
pub(super) struct MachineInfo {
    pub(super) system: String,
    pub(super) arch: &'static str,
    pub(super) processor: Option<String>,
    /// CPU instructions that speed up models, and whether the CPU supports them.
    pub(super) instructions: BTreeMap<&'static str, bool>,
    /// The number of CPUs that this process may use, by its affinity and its cgroup.
    pub(super) processors: usize,
    /// The memory that this process may use, by the machine and its cgroup.
    pub(super) memory_bytes: Option<u64>,
    pub(super) available_bytes: Option<u64>,
}

impl MachineInfo {
    pub(super) fn of_this_machine() -> Self {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let total = meminfo_bytes(&meminfo, "MemTotal:").or_else(macos_memory);
        Self {
            system: system_name(),
            arch: std::env::consts::ARCH,
            processor: cpu_name(),
            instructions: cpu_instructions(),
            processors: quire_telemetry::processors(),
            memory_bytes: total.into_iter().chain(cgroup_memory_limit()).min(),
            available_bytes: meminfo_bytes(&meminfo, "MemAvailable:"),
        }
    }
}

/// A folder and its disk.
#[derive(Debug, Serialize)]
pub(super) struct DiskInfo {
    pub(super) path: PathBuf,
    pub(super) writable: bool,
    pub(super) free_bytes: Option<u64>,
}

impl DiskInfo {
    /// Returns the disk of a folder. If the folder does not exist yet, the nearest existing ancestor counts.
    pub(super) fn of(path: &Path) -> Self {
        let existing = path.ancestors().find(|ancestor| ancestor.is_dir());
        let writable = existing.is_some_and(|folder| tempfile::tempfile_in(folder).is_ok());
        let disk = existing.and_then(|folder| rustix::fs::statvfs(folder).ok());
        let free_bytes = disk.map(|disk| disk.f_bavail * disk.f_frsize);
        Self { path: path.to_owned(), writable, free_bytes }
    }
}

/// NVIDIA GPUs, and why they cannot be used.
#[derive(Debug, Serialize)]
pub(super) struct GpuInfo {
    pub(super) found: Vec<String>,
    /// Why CUDA cannot be used; `None` if it can.
    pub(super) problem: Option<String>,
}

impl GpuInfo {
    /// Checks CUDA if there is a GPU or if one is requested.
    pub(super) fn of_this_machine(is_requested: bool, onnxruntime: Option<&Path>) -> Self {
        let found = gpu_names();
        let problem = match onnxruntime {
            Some(library) if is_requested || !found.is_empty() => quire_inference::check_cuda(library).err(),
            _ => None,
        };
        Self { found, problem: problem.map(|error| error.to_string()) }
    }
}

/// Returns the names of the GPUs, from the driver.
fn gpu_names() -> Vec<String> {
    let entries = fs::read_dir("/proc/driver/nvidia/gpus").into_iter().flatten().flatten();
    entries.filter_map(|entry| gpu_name(&entry.path())).collect()
}

fn gpu_name(folder: &Path) -> Option<String> {
    let information = fs::read_to_string(folder.join("information")).ok()?;
    let line = information.lines().find_map(|line| line.strip_prefix("Model:"))?;
    Some(line.trim().to_owned())
}

fn system_name() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| std::env::consts::OS.to_owned(), |name| name.trim_matches('"').to_owned())
}

fn cpu_name() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches([' ', '\t', ':']).trim().to_owned())
}

#[cfg(target_arch = "x86_64")]
fn cpu_instructions() -> BTreeMap<&'static str, bool> {
    [
        ("AVX2", std::is_x86_feature_detected!("avx2")),
        ("AVX-512", std::is_x86_feature_detected!("avx512f")),
        ("AVX-512 VNNI", std::is_x86_feature_detected!("avx512vnni")),
        ("AVX-512 BF16", std::is_x86_feature_detected!("avx512bf16")),
    ]
    .into()
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_instructions() -> BTreeMap<&'static str, bool> {
    BTreeMap::new()
}

/// Returns a value of `/proc/meminfo` in bytes.
fn meminfo_bytes(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(number * 1024)
}

fn macos_memory() -> Option<u64> {
    let output = std::process::Command::new("sysctl").args(["-n", "hw.memsize"]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// Returns the memory limit of the cgroup, version 2 or 1. Without a limit, version 2 has the word `max` and version 1
/// a huge number.
fn cgroup_memory_limit() -> Option<u64> {
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    files.iter().find_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
}
