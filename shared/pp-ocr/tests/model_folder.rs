//! Models in a folder with a manifest, with the real models of PP-OCRv6 small.

use std::{fs, path::Path};

use quire_native_libs::Progress;
use quire_pp_ocr::{Device, LoadError, ModelFiles, OcrModel, PpOcr};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Returns a folder with the two models, and its manifest.
fn folder() -> (TempDir, Value) {
    let natives = quire_native_libs::locate(&Progress::Silent).expect("the native libraries can be downloaded");
    let folder = tempfile::tempdir().expect("a folder");
    let mut manifest: Value = serde_json::from_str(include_str!("../manifests/small.json")).expect("JSON");
    for (part, path) in [("detection", natives.detection), ("recognition", natives.recognition)] {
        let name = format!("{part}.onnx");
        fs::copy(path, folder.path().join(&name)).expect("the model can be copied");
        manifest[part]["file"] = json!(name);
    }
    manifest["name"] = json!("own@1");
    (folder, manifest)
}

fn load(folder: &Path, manifest: &Value) -> Result<PpOcr, LoadError> {
    fs::write(folder.join("manifest.json"), manifest.to_string()).expect("the manifest can be written");
    let library = quire_native_libs::onnxruntime(&Progress::Silent).expect("the library can be downloaded");
    PpOcr::load(&ModelFiles::of_folder(library, folder)?, Device::Cpu, 1)
}

#[test]
fn a_model_in_a_folder_has_the_name_of_its_manifest() {
    let (folder, manifest) = folder();
    let model = load(folder.path(), &manifest).expect("the folder is valid");
    assert_eq!(model.name().to_string(), "own@1");
    assert_eq!(model.alphabet().classes(), 18_710);
}

#[test]
fn a_folder_that_does_not_match_its_manifest_is_refused_with_what_was_expected_and_found() {
    let (folder, manifest) = folder();
    let error = |part: &str, member: &str, value: Value| {
        let mut other = manifest.clone();
        other[part][member] = value;
        load(folder.path(), &other).expect_err("they differ").to_string()
    };
    let hash = error("detection", "sha256", json!("0".repeat(64)));
    assert!(hash.contains("detection.onnx has the SHA-256 090f04abcd9d") && hash.contains("expected 000"), "{hash}");
    let missing = error("recognition", "file", json!("none.onnx"));
    assert!(missing.contains("manifest.json: cannot read none.onnx"), "{missing}");
    let classes = error("recognition", "classes", json!(6_906));
    assert!(classes.contains("6906 classes of own@1") && classes.contains("18710 classes"), "{classes}");
    let features = error("recognition", "features", json!(80));
    assert!(features.contains("expected one tensor of f32 [-1, -1, 80]") && features.contains("120"), "{features}");
    let input = error("detection", "input", json!("image"));
    assert!(input.contains("its input is x, expected one tensor with the name image"), "{input}");
}

#[test]
fn a_folder_without_a_manifest_is_refused() {
    let (folder, _) = folder();
    let library = quire_native_libs::onnxruntime(&Progress::Silent).expect("the library can be downloaded");
    let error = ModelFiles::of_folder(library, folder.path()).expect_err("there is none");
    assert!(matches!(&error, LoadError::Manifest { path, .. } if path.ends_with("manifest.json")), "{error}");
}
