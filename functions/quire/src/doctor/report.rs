//! The report of `quire doctor`.

use std::path::PathBuf;

use quire_inference::{OnnxFile, TensorInfo};
use quire_native_libs::{FileCheck, FileCondition};
use quire_pp_ocr::Provider;
use quire_routes::Tier;
use serde::Serialize;

use super::{
    fonts::FontsInfo,
    machine::{DiskInfo, GpuInfo, MachineInfo},
    native_parts::{NativePart, PartFile},
    permissions::PermissionCheck,
    sandbox::SandboxInfo,
    trial::TrialResult,
};
use crate::provider::SelectedProvider;

/// Names of the libraries of which one is enough.
pub(super) const OPENVINO: &str = "OpenVINO";
pub(super) const ONNX_RUNTIME: &str = "ONNX Runtime";
/// Name of the models that the tier `tiny` does not need.
const SMALL_MODELS: &str = "PP-OCRv6 models";

/// The values of [`LibraryFile::condition`] in the JSON report.
pub(super) const WHOLE: &str = "whole";
pub(super) const GIVEN: &str = "given";
pub(super) const MISSING: &str = "missing";
pub(super) const DAMAGED: &str = "damaged";

/// The report, as JSON with `--format json`.
#[derive(Debug, Serialize)]
pub(super) struct DoctorReport {
    /// Whether this machine can read documents.
    pub(super) ok: bool,
    pub(super) version: &'static str,
    pub(super) machine: MachineInfo,
    pub(super) provider: ProviderInfo,
    pub(super) gpu: GpuInfo,
    pub(super) sandbox: SandboxInfo,
    pub(super) fonts: FontsInfo,
    #[serde(rename = "parts")]
    pub(super) libraries: Vec<LibraryFile>,
    pub(super) models: Vec<ModelFile>,
    /// The bill of materials of native code and models.
    pub(super) native_parts: Vec<NativePart>,
    pub(super) data: DiskInfo,
    pub(super) cache: Option<DiskInfo>,
    /// Whether other users have access to the data folder and the cache.
    pub(super) permissions: Vec<PermissionCheck>,
    /// `None` if something that is needed is missing.
    pub(super) trial: Option<TrialResult>,
    /// How to fix the problems.
    pub(super) advice: Vec<String>,
}

/// The provider that runs PP-OCR.
#[derive(Debug, Serialize)]
pub(super) struct ProviderInfo {
    pub(super) name: &'static str,
    /// The number format of detection.
    pub(super) detection: &'static str,
    /// The number format of recognition.
    pub(super) recognition: &'static str,
    pub(super) reason: &'static str,
}

impl ProviderInfo {
    pub(super) fn new(selected: &SelectedProvider) -> Self {
        let [detection, recognition] = selected.provider.precisions();
        Self { name: selected.provider.as_str(), detection, recognition, reason: selected.reason }
    }
}

/// A file of a native library or a model.
#[derive(Debug, Serialize)]
pub(super) struct LibraryFile {
    #[serde(rename = "part")]
    pub(super) name: &'static str,
    pub(super) version: Option<&'static str>,
    pub(super) path: PathBuf,
    pub(super) condition: &'static str,
    /// The environment variable that names the file.
    pub(super) given_by: Option<&'static str>,
    /// Whether reading with the current settings needs it.
    pub(super) needed: bool,
}

/// The metadata of a model file.
#[derive(Debug, Serialize)]
pub(super) struct ModelFile {
    pub(super) path: PathBuf,
    pub(super) sha256: Option<String>,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) problem: Option<String>,
}

impl LibraryFile {
    pub(super) fn new(finding: FileCheck, provider: Provider, tier: Tier) -> Self {
        let FileCheck { part: name, version, path, condition, variable } = finding;
        let needed = match name {
            OPENVINO => provider == Provider::OpenVino,
            ONNX_RUNTIME => provider != Provider::OpenVino,
            SMALL_MODELS => tier.uses_small(),
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

    pub(super) fn is_model_file(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "onnx") && self.path.is_file()
    }

    pub(super) fn part(&self) -> PartFile<'_> {
        PartFile { name: self.name, version: self.version, path: &self.path }
    }

    /// Returns whether nothing can be read without this file. ONNX Runtime replaces an OpenVINO that was not requested
    /// explicitly and whose environment variable names a missing file; an OpenVINO without the variable is downloaded.
    pub(super) fn prevents_reading(&self, is_provider_required: bool) -> bool {
        let is_replaceable = self.name == OPENVINO && !is_provider_required && self.given_by.is_some();
        self.needed && !is_replaceable && matches!(self.condition, MISSING | DAMAGED)
    }
}

impl ModelFile {
    pub(super) fn read(file: &LibraryFile) -> Self {
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
