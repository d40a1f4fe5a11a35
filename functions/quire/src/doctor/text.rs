//! The report as text.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use super::{
    machine::{DiskInfo, GpuInfo, MachineInfo},
    report::{DoctorReport, GIVEN, LibraryFile, MISSING, ModelFile},
};

pub(super) fn print(out: &mut impl Write, report: &DoctorReport) -> io::Result<()> {
    let DoctorReport { machine, provider, libraries, models, .. } = report;
    writeln!(out, "quire {} on {}, {}", report.version, machine.system, machine.arch)?;
    write_line(out, "CPU", &format_cpu(machine))?;
    write_line(out, "memory", &format_memory(machine))?;
    write_line(out, "GPU", &format_gpu(&report.gpu))?;
    write_line(out, "data", &format_disk(&report.data))?;
    if let Some(cache) = &report.cache {
        write_line(out, "cache", &format_disk(cache))?;
    }
    for check in report.permissions.iter().filter(|check| !check.private) {
        let paths = check.exposed.len();
        write_line(out, "access", &format!("other users have access to {} ({paths} found)", check.folder.display()))?;
    }
    write_line(out, "provider", &format!("{}: {}", provider.name, provider.reason))?;
    write_line(out, "sandbox", &report.sandbox.summary())?;
    write_line(out, "fonts", &report.fonts.summary())?;
    let precision = format!("{} for detection, {} for recognition", provider.detection, provider.recognition);
    write_line(out, "precision", &precision)?;
    writeln!(out, "\nlibraries and models")?;
    for files in libraries.chunk_by(|a, b| a.name == b.name) {
        write_library(out, files)?;
    }
    writeln!(out, "\nmodel files")?;
    for model in models {
        writeln!(out, "  {}", format_model(model))?;
    }
    writeln!(out)?;
    if let Some(trial) = report.trial.as_ref().filter(|trial| trial.problem.is_none()) {
        let provider = trial.provider.as_deref().unwrap_or("nothing");
        let load_seconds = trial.load_seconds;
        let read_seconds = trial.read_seconds;
        writeln!(
            out,
            "test page: {provider} loaded in {load_seconds:.2} s and read it in {read_seconds:.2} s: {:?}",
            trial.text
        )?;
    }
    let result = if report.ok { "This machine can read." } else { "This machine cannot read yet." };
    writeln!(out, "{result}")?;
    let advice = report.advice.iter().chain(&report.sandbox.advice).chain(&report.fonts.advice);
    advice.into_iter().try_for_each(|advice| writeln!(out, "- {advice}"))
}

fn write_line(out: &mut impl Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "  {name:<10} {value}")
}

fn format_cpu(machine: &MachineInfo) -> String {
    let name = machine.processor.as_deref().unwrap_or("unknown");
    let mut text = format!("{name}, {} usable", machine.processors);
    for (word, is_supported) in [("with", true), ("without", false)] {
        let instructions = machine.instructions.iter().filter(|(_, supported)| **supported == is_supported);
        let names: Vec<&str> = instructions.map(|(name, _)| *name).collect();
        if !names.is_empty() {
            let _ = write!(text, "; {word} {}", names.join(", "));
        }
    }
    text
}

fn format_memory(machine: &MachineInfo) -> String {
    let size = |bytes: Option<u64>| bytes.map_or_else(|| "unknown".to_owned(), format_gigabytes);
    format!("{}, of which {} free", size(machine.memory_bytes), size(machine.available_bytes))
}

fn format_gpu(gpu: &GpuInfo) -> String {
    let found = if gpu.found.is_empty() { "none".to_owned() } else { gpu.found.join(", ") };
    match &gpu.problem {
        Some(problem) => format!("{found}; {problem}"),
        None => found,
    }
}

fn format_disk(disk: &DiskInfo) -> String {
    let writable = if disk.writable { "writable" } else { "not writable" };
    let free = disk.free_bytes.map(|bytes| format!(", {} free", format_gigabytes(bytes))).unwrap_or_default();
    format!("{}: {writable}{free}", disk.path.display())
}

/// Writes one line if all files of the library are in the same condition, otherwise one line per file.
fn write_library(out: &mut impl Write, files: &[LibraryFile]) -> io::Result<()> {
    let is_same = files.iter().all(|file| file.condition == files[0].condition);
    for file in &files[..if is_same { 1 } else { files.len() }] {
        let path = if files.len() > 1 && is_same { file.path.parent().unwrap_or(&file.path) } else { &file.path };
        let version = file.version.unwrap_or("");
        let condition = match (file.given_by, file.condition, file.needed) {
            (Some(variable), GIVEN, _) => format!("given by {variable}"),
            (_, MISSING, false) => "missing, not needed".to_owned(),
            (_, condition, _) => condition.to_owned(),
        };
        writeln!(out, "  {:<24} {condition:<23} {}", format!("{} {version}", file.name).trim(), path.display())?;
    }
    Ok(())
}

fn format_model(model: &ModelFile) -> String {
    let name = model.path.file_name().unwrap_or_default().to_string_lossy();
    let hash = model.sha256.as_deref().unwrap_or("unreadable");
    let details = match &model.problem {
        Some(problem) => problem.clone(),
        None => format!("input {}", model.inputs.join(", ")),
    };
    format!("{name}  sha256 {hash}\n    {details}")
}

fn format_gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}
