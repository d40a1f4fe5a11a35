//! `quire doctor`: checks whether this machine can read documents, and suggests fixes.
//!
//! Nothing is downloaded or changed unless `--fetch` is given. Native code runs in a child process, as everywhere.

mod machine;
mod text;
mod trial;

use std::{
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use quire_inference::{OnnxFile, TensorInfo};
use quire_native_libs::{FileCheck, FileCondition, Progress};
use quire_pp_ocr::{Device, Provider};
use serde::Serialize;

use crate::{
    cli::{DoctorArgs, EngineArgs, ReportFormat},
    engine,
    provider::SelectedProvider,
};
use machine::{DiskInfo, GpuInfo, MachineInfo};
use trial::TrialResult;

/// Names of the libraries of which one is enough.
const OPENVINO: &str = "OpenVINO";
const ONNX_RUNTIME: &str = "ONNX Runtime";

/// The values of [`LibraryFile::condition`] in the JSON report.
const WHOLE: &str = "whole";
const GIVEN: &str = "given";
const MISSING: &str = "missing";
const DAMAGED: &str = "damaged";

/// The report, as JSON with `--format json`.
#[derive(Debug, Serialize)]
struct DoctorReport {
    /// Whether this machine can read documents.
    ok: bool,
    version: &'static str,
    machine: MachineInfo,
    provider: ProviderInfo,
    gpu: GpuInfo,
    #[serde(rename = "parts")]
    libraries: Vec<LibraryFile>,
    models: Vec<ModelFile>,
    data: DiskInfo,
    cache: Option<DiskInfo>,
    /// `None` if something that is needed is missing.
    trial: Option<TrialResult>,
    /// How to fix the problems.
    advice: Vec<String>,
}

/// The provider that runs PP-OCR.
#[derive(Debug, Serialize)]
struct ProviderInfo {
    name: &'static str,
    /// The number format of detection.
    detection: &'static str,
    /// The number format of recognition.
    recognition: &'static str,
    reason: &'static str,
}

impl ProviderInfo {
    fn new(selected: &SelectedProvider) -> Self {
        let [detection, recognition] = selected.provider.precisions();
        Self { name: selected.provider.as_str(), detection, recognition, reason: selected.reason }
    }
}

/// A file of a native library or a model.
#[derive(Debug, Serialize)]
struct LibraryFile {
    #[serde(rename = "part")]
    name: &'static str,
    version: Option<&'static str>,
    path: PathBuf,
    condition: &'static str,
    /// The environment variable that names the file.
    given_by: Option<&'static str>,
    /// Whether reading with the current settings needs it.
    needed: bool,
}

/// The metadata of a model file.
#[derive(Debug, Serialize)]
struct ModelFile {
    path: PathBuf,
    sha256: Option<String>,
    inputs: Vec<String>,
    outputs: Vec<String>,
    problem: Option<String>,
}

/// Prints the report. Returns success if this machine can read documents.
pub(crate) fn doctor(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let mut engine_args = args.engine.clone().validate()?;
    let config = engine_args.routes.config()?;
    if args.trial {
        return trial::run(&engine_args);
    }
    let mut advice = Vec::new();
    if args.fetch
        && let Err(error) = engine::fetch_natives(&config, &mut engine_args, &Progress::Bar)
    {
        advice.push(format!("{error:#}"));
    }
    let report = build_report(args, &engine_args, advice)?;
    let mut out = io::stdout().lock();
    let printed = match args.format {
        ReportFormat::Json => {
            serde_json::to_writer_pretty(&mut out, &report).map_err(io::Error::from).and_then(|()| writeln!(out))
        }
        ReportFormat::Text => text::print(&mut out, &report),
    };
    match printed {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn build_report(args: &DoctorArgs, engine_args: &EngineArgs, mut advice: Vec<String>) -> anyhow::Result<DoctorReport> {
    let selected = engine_args.provider.select(engine_args.device);
    let libraries: Vec<LibraryFile> = match quire_native_libs::verify() {
        Ok(findings) => findings.into_iter().map(|finding| LibraryFile::new(finding, selected.provider)).collect(),
        Err(error) => {
            advice.push(error.to_string());
            Vec::new()
        }
    };
    let can_try = advice.is_empty() && !libraries.iter().any(|file| file.prevents_reading(selected.is_required));
    advise_on_libraries(&libraries, &mut advice);
    let models = libraries.iter().filter(|file| file.is_model_file()).map(ModelFile::read).collect();
    let data = DiskInfo::of(&args.data.dir()?);
    if !data.writable {
        advice.push(format!("Name a writable data folder with --data: cannot write to {}.", data.path.display()));
    }
    let trial = can_try.then(|| trial::run_in_child(engine_args));
    advice.extend(trial.as_ref().and_then(|trial| trial.advice(selected.provider)));
    let onnxruntime = libraries.iter().find(|file| file.name == ONNX_RUNTIME).map(|file| file.path.as_path());
    let gpu = GpuInfo::of_this_machine(engine_args.device == Device::Cuda, onnxruntime);
    let cache = libraries.first().and_then(|file| file.path.parent()?.parent()).map(DiskInfo::of);
    Ok(DoctorReport {
        ok: trial.as_ref().is_some_and(|trial| trial.ok) && data.writable,
        version: env!("CARGO_PKG_VERSION"),
        machine: MachineInfo::of_this_machine(),
        provider: ProviderInfo::new(&selected),
        gpu,
        models,
        cache,
        libraries,
        data,
        trial,
        advice,
    })
}

/// Adds advice on files that are needed and damaged or missing.
fn advise_on_libraries(libraries: &[LibraryFile], advice: &mut Vec<String>) {
    let needed: Vec<&LibraryFile> = libraries.iter().filter(|file| file.needed).collect();
    for file in needed.iter().filter(|file| file.condition == DAMAGED) {
        let folder = file.path.parent().unwrap_or(Path::new("/"));
        advice.push(format!("Remove {}: its files are damaged. They are downloaded again.", folder.display()));
    }
    for file in needed.iter().filter(|file| file.condition == MISSING) {
        advice.push(match file.given_by {
            Some(variable) => format!("Correct or unset {variable}: {} does not exist.", file.path.display()),
            None => format!(
                "Run `quire doctor --fetch` to download {}; the first `quire read` or `quire serve` also does.",
                file.name
            ),
        });
    }
    advice.dedup();
}

impl LibraryFile {
    fn new(finding: FileCheck, provider: Provider) -> Self {
        let FileCheck { part: name, version, path, condition, variable } = finding;
        let needed = match name {
            OPENVINO => provider == Provider::OpenVino,
            ONNX_RUNTIME => provider != Provider::OpenVino,
            _ => true,
        };
        let condition = match condition {
            FileCondition::Valid => WHOLE,
            FileCondition::Override(_) => GIVEN,
            FileCondition::Missing => MISSING,
            _ => DAMAGED,
        };
        Self { name, version, path, condition, given_by: variable, needed }
    }

    fn is_model_file(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "onnx") && self.path.is_file()
    }

    /// Returns whether nothing can be read without this file. ONNX Runtime replaces an OpenVINO that was not requested
    /// explicitly and whose environment variable names a missing file; an OpenVINO without the variable is downloaded.
    fn prevents_reading(&self, is_provider_required: bool) -> bool {
        let is_replaceable = self.name == OPENVINO && !is_provider_required && self.given_by.is_some();
        self.needed && !is_replaceable && matches!(self.condition, MISSING | DAMAGED)
    }
}

impl ModelFile {
    fn read(file: &LibraryFile) -> Self {
        let path = file.path.clone();
        let sha256 = quire_native_libs::sha256(&path).ok();
        match OnnxFile::read(&path) {
            Ok(OnnxFile { inputs, outputs, .. }) => {
                Self { path, sha256, inputs: describe(&inputs), outputs: describe(&outputs), problem: None }
            }
            Err(error) => {
                Self { path, sha256, inputs: Vec::new(), outputs: Vec::new(), problem: Some(error.to_string()) }
            }
        }
    }
}

fn describe(outlets: &[TensorInfo]) -> Vec<String> {
    outlets.iter().map(ToString::to_string).collect()
}
