//! `quire doctor`: whether this machine can read, with what, and what to do where it cannot.
//!
//! Nothing is fetched or changed unless that is asked for. What native code has to do happens in a child, like everywhere.

mod machine;
mod text;
mod trial;

use std::{
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use quire_inference::{OnnxFile, TensorInfo};
use quire_native_libs::{Condition, Finding, Progress};
use quire_pp_ocr::Provider;
use serde::Serialize;

use crate::{Device, cli, engine, provider::Choice};
use machine::{Disk, Gpu, Machine};
use trial::Trial;

/// What the parts are called of which one is enough.
const OPENVINO: &str = "OpenVINO";
const ONNX_RUNTIME: &str = "ONNX Runtime";

/// Everything there is to say.
#[derive(Debug, Serialize)]
struct Report {
    /// Whether this machine can read.
    ok: bool,
    version: &'static str,
    machine: Machine,
    provider: Chosen,
    gpu: Gpu,
    parts: Vec<PartFile>,
    models: Vec<ModelFile>,
    data: Disk,
    cache: Option<Disk>,
    /// Missing where there is nothing to try it with.
    trial: Option<Trial>,
    /// What to do about what is wrong.
    advice: Vec<String>,
}

/// What runs PP-OCR.
#[derive(Debug, Serialize)]
struct Chosen {
    name: &'static str,
    /// What it detects with.
    detection: &'static str,
    /// What it recognizes with.
    recognition: &'static str,
    reason: &'static str,
}

impl Chosen {
    fn new(choice: &Choice) -> Self {
        let [detection, recognition] = choice.provider.precisions();
        Self { name: choice.provider.as_str(), detection, recognition, reason: choice.reason }
    }
}

/// A file of a native part.
#[derive(Debug, Serialize)]
struct PartFile {
    part: &'static str,
    version: Option<&'static str>,
    path: PathBuf,
    condition: &'static str,
    /// The variable that names it.
    given_by: Option<&'static str>,
    /// Whether reading as it is set needs it.
    needed: bool,
}

/// What a model's file says of itself.
#[derive(Debug, Serialize)]
struct ModelFile {
    path: PathBuf,
    sha256: Option<String>,
    inputs: Vec<String>,
    outputs: Vec<String>,
    problem: Option<String>,
}

/// Prints the report. Success when this machine can read.
pub(crate) fn doctor(args: &cli::Doctor) -> anyhow::Result<ExitCode> {
    let mut given = args.engine.clone().checked()?;
    let config = given.routes.config()?;
    if args.trial {
        return trial::run(&given);
    }
    let mut advice = Vec::new();
    if args.fetch
        && let Err(error) = engine::fetch_natives(&config, &mut given, &Progress::Bar)
    {
        advice.push(format!("{error:#}"));
    }
    let report = report(args, &given, advice)?;
    let mut out = io::stdout().lock();
    let printed = match args.format {
        cli::ReportFormat::Json => {
            serde_json::to_writer_pretty(&mut out, &report).map_err(io::Error::from).and_then(|()| writeln!(out))
        }
        cli::ReportFormat::Text => text::print(&mut out, &report),
    };
    match printed {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(args: &cli::Doctor, given: &cli::Engine, mut advice: Vec<String>) -> anyhow::Result<Report> {
    let choice = given.provider.choice(given.device);
    let parts = match quire_native_libs::verify() {
        Ok(findings) => findings.into_iter().map(|finding| PartFile::new(finding, choice.provider)).collect(),
        Err(error) => {
            advice.push(error.to_string());
            Vec::new()
        }
    };
    let worth_a_trial = advice.is_empty() && !parts.iter().any(|part| part.is_in_the_way(choice.is_settled));
    advise_on_parts(&parts, &mut advice);
    let models = parts.iter().filter(|part| part.path.extension().is_some_and(|extension| extension == "onnx"));
    let models = models.filter(|part| part.path.is_file()).map(ModelFile::new).collect();
    let data = Disk::of(&args.data.dir()?);
    if !data.writable {
        advice.push(format!("Name a data folder that can be written, with --data: {} cannot be.", data.path.display()));
    }
    let trial = worth_a_trial.then(|| trial::in_child(given));
    advice.extend(trial.as_ref().and_then(|trial| trial.advice(choice.provider)));
    let runtime = parts.iter().find(|part| part.part == ONNX_RUNTIME).map(|part| part.path.as_path());
    let gpu = Gpu::of_this_machine(given.device == Device::Cuda, runtime);
    let cache = parts.first().and_then(|part| part.path.parent()?.parent()).map(Disk::of);
    Ok(Report {
        ok: trial.as_ref().is_some_and(|trial| trial.ok) && data.writable,
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::this(),
        provider: Chosen::new(&choice),
        gpu,
        models,
        cache,
        parts,
        data,
        trial,
        advice,
    })
}

/// What to do about parts that are needed and not whole.
fn advise_on_parts(parts: &[PartFile], advice: &mut Vec<String>) {
    let needed = || parts.iter().filter(|part| part.needed);
    for part in needed().filter(|part| part.condition == "damaged") {
        let folder = part.path.parent().unwrap_or(Path::new("/"));
        advice.push(format!("Remove {}, whose files are not the pinned ones: it is fetched again.", folder.display()));
    }
    for part in needed().filter(|part| part.condition == "missing") {
        advice.push(match part.given_by {
            Some(variable) => format!("Correct or unset {variable}: {} is not there.", part.path.display()),
            None => format!(
                "Run `quire doctor --fetch`, which fetches {}; the first `quire read` or `quire serve` would, too.",
                part.part
            ),
        });
    }
    advice.dedup();
}

impl PartFile {
    fn new(finding: Finding, provider: Provider) -> Self {
        let Finding { part, version, path, condition, variable } = finding;
        let needed = match part {
            OPENVINO => provider == Provider::OpenVino,
            ONNX_RUNTIME => provider != Provider::OpenVino,
            _ => true,
        };
        let condition = match condition {
            Condition::Whole => "whole",
            Condition::Override(_) => "given",
            Condition::Missing => "missing",
            _ => "damaged",
        };
        Self { part, version, path, condition, given_by: variable, needed }
    }

    /// Whether there is nothing to be read without it. Where OpenVINO was not asked for, ONNX Runtime will do for one that
    /// somebody named and is not there; one that is not there yet is fetched.
    fn is_in_the_way(&self, settled: bool) -> bool {
        let will_do_without = self.part == OPENVINO && !settled && self.given_by.is_some();
        self.needed && !will_do_without && matches!(self.condition, "missing" | "damaged")
    }
}

impl ModelFile {
    fn new(part: &PartFile) -> Self {
        let path = part.path.clone();
        let sha256 = quire_native_libs::sha256(&path).ok();
        let described = |outlets: Vec<TensorInfo>| outlets.iter().map(ToString::to_string).collect();
        match OnnxFile::read(&path) {
            Ok(OnnxFile { inputs, outputs, .. }) => {
                Self { path, sha256, inputs: described(inputs), outputs: described(outputs), problem: None }
            }
            Err(error) => {
                let (inputs, outputs) = (Vec::new(), Vec::new());
                Self { path, sha256, inputs, outputs, problem: Some(error.to_string()) }
            }
        }
    }
}
