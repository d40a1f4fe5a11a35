//! `quire doctor`: checks whether this machine can read documents, and suggests fixes.
//!
//! Nothing is downloaded or changed unless `--fetch` is given. Native code runs in a child process, as everywhere.

mod fonts;
mod machine;
mod native_parts;
mod permissions;
mod report;
mod sandbox;
mod text;
mod trial;

use std::{
    io::{self, ErrorKind, Write},
    path::Path,
    process::ExitCode,
};

use quire_native_libs::{FileCheck, NativeLibsError, Progress};
use quire_pp_ocr::Device;
use quire_routes::Tier;
use quire_telemetry::terminal::{escape_json, escape_text};

use crate::{
    cli::{DoctorArgs, EngineArgs, ReportFormat},
    engine,
};
use fonts::FontsInfo;
use machine::{DiskInfo, GpuInfo, MachineInfo};
use permissions::PermissionCheck;
use report::{DAMAGED, DoctorReport, LibraryFile, MISSING, ModelFile, ONNX_RUNTIME, ProviderInfo};
use sandbox::SandboxInfo;

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
    let printed = match args.format {
        ReportFormat::Json => format!("{}\n", escape_json(&serde_json::to_string_pretty(&report)?)),
        ReportFormat::Text => {
            let mut text = Vec::new();
            text::print(&mut text, &report)?;
            escape_text(&String::from_utf8_lossy(&text)).into_owned()
        }
    };
    match io::stdout().lock().write_all(printed.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn build_report(args: &DoctorArgs, engine_args: &EngineArgs, mut advice: Vec<String>) -> anyhow::Result<DoctorReport> {
    let selected = engine_args.provider.select(engine_args.device);
    let tier = engine_args.routes.tier;
    let libraries: Vec<LibraryFile> = match verify(tier) {
        Ok(findings) => {
            findings.into_iter().map(|finding| LibraryFile::new(finding, selected.provider, tier)).collect()
        }
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
    let permissions = check_permissions(&data.path);
    advice.extend(permissions.iter().filter_map(PermissionCheck::advice));
    let cache = libraries.first().and_then(|file| file.path.parent()?.parent()).map(DiskInfo::of);
    Ok(DoctorReport {
        ok: trial.as_ref().is_some_and(|trial| trial.ok) && data.writable,
        version: env!("CARGO_PKG_VERSION"),
        machine: MachineInfo::of_this_machine(),
        provider: ProviderInfo::new(&selected),
        gpu,
        sandbox: SandboxInfo::of_this_machine(),
        fonts: FontsInfo::of_this_machine(),
        models,
        cache,
        native_parts: native_parts::native_parts(libraries.iter().map(LibraryFile::part)),
        libraries,
        data,
        permissions,
        trial,
        advice,
    })
}

/// Verifies the libraries and the models, those of PP-OCRv6 tiny only if the tier needs them.
fn verify(tier: Tier) -> Result<Vec<FileCheck>, NativeLibsError> {
    let mut checks = quire_native_libs::verify()?;
    if tier.uses_tiny() {
        checks.extend(quire_native_libs::verify_tiny_models()?);
    }
    Ok(checks)
}

/// Checks the folders that contain documents, and the libraries that are loaded. A data folder that is not used yet is
/// restricted when it is.
fn check_permissions(data: &Path) -> Vec<PermissionCheck> {
    let data = data.join("quire.db").exists().then(|| data.to_owned());
    let folders = [data, quire_native_libs::cache_folder().ok()];
    folders.into_iter().flatten().map(|folder| PermissionCheck::of(&folder)).collect()
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
