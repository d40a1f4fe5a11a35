//! The report for eyes.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use super::{Disk, Gpu, Machine, ModelFile, PartFile, Report};

pub(super) fn print(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let Report { machine, provider, parts, models, .. } = report;
    writeln!(out, "quire {} on {}, {}", report.version, machine.system, machine.arch)?;
    line(out, "processor", &processor(machine))?;
    line(out, "memory", &memory(machine))?;
    line(out, "GPU", &gpu(&report.gpu))?;
    line(out, "data", &disk(&report.data))?;
    if let Some(cache) = &report.cache {
        line(out, "cache", &disk(cache))?;
    }
    line(out, "PP-OCR by", &format!("{}: {}", provider.name, provider.reason))?;
    line(out, "floats", &format!("{} for detection, {} for recognition", provider.detection, provider.recognition))?;
    writeln!(out, "\nnative parts")?;
    for files in parts.chunk_by(|a, b| a.part == b.part) {
        part(out, files)?;
    }
    writeln!(out, "\nmodels")?;
    for model in models {
        writeln!(out, "  {}", description(model))?;
    }
    writeln!(out)?;
    if let Some(trial) = report.trial.as_ref().filter(|trial| trial.problem.is_none()) {
        let by = trial.provider.as_deref().unwrap_or("nothing");
        let (load, read, text) = (trial.load_seconds, trial.read_seconds, &trial.text);
        writeln!(out, "a trial: {by} loaded in {load:.2} s, and read in {read:.2} s: {text:?}")?;
    }
    let verdict = if report.ok { "This machine can read." } else { "This machine cannot read yet." };
    writeln!(out, "{verdict}")?;
    report.advice.iter().try_for_each(|advice| writeln!(out, "- {advice}"))
}

fn line(out: &mut impl Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "  {name:<10} {value}")
}

fn processor(machine: &Machine) -> String {
    let name = machine.processor.as_deref().unwrap_or("unknown");
    let (has, lacks): (Vec<_>, Vec<_>) = machine.instructions.iter().partition(|(_, has)| **has);
    let names = |of: &[(&&'static str, &bool)]| of.iter().map(|(name, _)| **name).collect::<Vec<_>>().join(", ");
    let mut text = format!("{name}, {} to be used", machine.processors);
    for (word, of) in [("with", has), ("without", lacks)] {
        if !of.is_empty() {
            let _ = write!(text, "; {word} {}", names(&of));
        }
    }
    text
}

fn memory(machine: &Machine) -> String {
    let size = |bytes: Option<u64>| bytes.map_or_else(|| "unknown".to_owned(), gigabytes);
    format!("{}, of which {} free", size(machine.memory_bytes), size(machine.available_bytes))
}

fn gpu(gpu: &Gpu) -> String {
    let found = if gpu.found.is_empty() { "none".to_owned() } else { gpu.found.join(", ") };
    gpu.problem.as_ref().map_or_else(|| found.clone(), |problem| format!("{found}; {problem}"))
}

fn disk(disk: &Disk) -> String {
    let free = disk.free_bytes.map(|bytes| format!(", {} free", gigabytes(bytes))).unwrap_or_default();
    format!("{}: {}{free}", disk.path.display(), if disk.writable { "writable" } else { "cannot be written" })
}

/// One line where all files of it are in the same condition, else one for each.
fn part(out: &mut impl Write, files: &[PartFile]) -> io::Result<()> {
    let same = files.iter().all(|file| file.condition == files[0].condition);
    for file in &files[..if same { 1 } else { files.len() }] {
        let path = if files.len() > 1 && same { file.path.parent().unwrap_or(&file.path) } else { &file.path };
        let version = file.version.unwrap_or("");
        let condition = match (file.given_by, file.condition, file.needed) {
            (Some(variable), "given", _) => format!("given by {variable}"),
            (_, "missing", false) => "not fetched, not needed".to_owned(),
            (_, condition, _) => condition.to_owned(),
        };
        writeln!(out, "  {:<24} {condition:<23} {}", format!("{} {version}", file.part).trim(), path.display())?;
    }
    Ok(())
}

fn description(model: &ModelFile) -> String {
    let name = model.path.file_name().unwrap_or_default().to_string_lossy();
    let hash = model.sha256.as_deref().unwrap_or("unreadable");
    let shapes = || format!("input {}", model.inputs.join(", "));
    format!("{name}  sha256 {hash}\n    {}", model.problem.clone().unwrap_or_else(shapes))
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}
