//! Invalid model folders.

use std::{
    fs,
    path::{Path, PathBuf},
};

use quire_hunyuan_ocr::{Device, HunyuanFiles, HunyuanOcr, HunyuanOptions, LoadError};
use serde_json::{Value, json};

use crate::tiny::{data, files, options};

/// A copy of the model's folder, modified by a function.
pub(crate) fn modified_folder(spoil: impl FnOnce(&Path)) -> (tempfile::TempDir, HunyuanFiles) {
    let folder = tempfile::tempdir().expect("the folder can be created");
    for entry in fs::read_dir(data("model")).expect("the model can be read") {
        let path = entry.expect("the file can be written").path();
        fs::copy(&path, folder.path().join(path.file_name().expect("the reference has a name")))
            .expect("the file can be copied");
    }
    spoil(folder.path());
    let files = HunyuanFiles { folder: folder.path().to_owned(), ..files() };
    (folder, files)
}

fn refused(spoil: impl FnOnce(&Path)) -> LoadError {
    let (_folder, files) = modified_folder(spoil);
    HunyuanOcr::load(&files, &options(1)).expect_err("the folder is invalid")
}

pub(crate) fn edit(folder: &Path, edit: impl FnOnce(&mut Value)) {
    let path = folder.join("ocr_engine.json");
    let mut manifest: Value =
        serde_json::from_slice(&fs::read(&path).expect("the manifest can be read")).expect("the file is JSON");
    edit(&mut manifest);
    fs::write(path, manifest.to_string()).expect("the manifest can be written");
}

fn assert_says(error: &LoadError, words: &[&str]) {
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

#[test]
fn a_missing_file_is_an_error_with_its_name() {
    for name in ["vision_encoder.onnx", "decoder.onnx", "tokenizer.json", "ocr_engine.json"] {
        let error = refused(|folder| fs::remove_file(folder.join(name)).expect("the file exists"));
        assert_says(&error, &[name]);
    }
}

#[test]
fn a_truncated_file_is_an_error_with_its_size() {
    for name in ["vision_encoder.onnx", "decoder.onnx", "tokenizer.json"] {
        let truncate = |folder: &Path| {
            let path: PathBuf = folder.join(name);
            let bytes = fs::read(&path).expect("the file can be read");
            fs::write(&path, &bytes[..bytes.len() / 2]).expect("the file can be written");
            bytes.len()
        };
        let error = refused(|folder| {
            truncate(folder);
        });
        assert_says(&error, &[name, "its size", "expected"]);
        let error = refused(|folder| {
            let half = truncate(folder) / 2;
            edit(folder, |manifest| manifest["files"][name] = half.into());
        });
        assert_says(&error, &[name]);
    }
}

#[test]
fn a_manifest_of_another_format_is_an_error_with_the_expected_one() {
    let version = |manifest: &mut Value| manifest["format_version"] = 2.into();
    assert_says(
        &refused(|folder| edit(folder, version)),
        &["\"quire.hunyuan-ocr\" 2", "expected \"quire.hunyuan-ocr\" 1"],
    );
    let kind = |manifest: &mut Value| *manifest = json!([]);
    assert_says(&refused(|folder| edit(folder, kind)), &["expected \"quire.hunyuan-ocr\" 1"]);
    let growing = |manifest: &mut Value| manifest["decoder"]["cache"] = "growing".into();
    assert_says(&refused(|folder| edit(folder, growing)), &["decoder.cache", "expected \"fixed\""]);
    let new = |manifest: &mut Value| manifest["drafts"] = 15.into();
    assert_says(&refused(|folder| edit(folder, new)), &["unknown field `drafts`"]);
    let outside = |manifest: &mut Value| manifest["prompt"]["image"] = 512.into();
    assert_says(&refused(|folder| edit(folder, outside)), &["token 512", "vocabulary of 512"]);
    let elsewhere = |manifest: &mut Value| manifest["graphs"]["vision"] = "../vision_encoder.onnx".into();
    assert_says(&refused(|folder| edit(folder, elsewhere)), &["is missing in `files`"]);
}

#[test]
fn graphs_that_do_not_match_the_manifest_are_an_error() {
    let hidden = |manifest: &mut Value| manifest["decoder"]["hidden"] = 128.into();
    assert_says(&refused(|folder| edit(folder, hidden)), &["vision_encoder.onnx", "outputs", "image_features", "128"]);
    let layers = |manifest: &mut Value| manifest["decoder"]["layers"] = 3.into();
    assert_says(
        &refused(|folder| edit(folder, layers)),
        &["decoder.onnx", "inputs", "past_key_values.2.key", "nothing more"],
    );
    let fewer = |manifest: &mut Value| manifest["decoder"]["layers"] = 1.into();
    assert_says(&refused(|folder| edit(folder, fewer)), &["decoder.onnx", "past_key_values.1.key", "no more"]);
    let heads = |manifest: &mut Value| manifest["decoder"]["kv_heads"] = 4.into();
    assert_says(&refused(|folder| edit(folder, heads)), &["past_key_values.0.key", "[-1, 4, -1, 16]"]);
    let dtype = |manifest: &mut Value| manifest["dtype"] = "float16".into();
    assert_says(&refused(|folder| edit(folder, dtype)), &["image_features", "f16"]);
    let swapped =
        |manifest: &mut Value| manifest["graphs"] = json!({"vision": "decoder.onnx", "decoder": "vision_encoder.onnx"});
    assert_says(&refused(|folder| edit(folder, swapped)), &["decoder.onnx", "expected pixel_values"]);
    let vocabulary = |manifest: &mut Value| manifest["decoder"]["vocabulary"] = 500.into();
    assert_says(&refused(|folder| edit(folder, vocabulary)), &["decoder.onnx", "seen", "expected seen bool[-1, 500]"]);
    let smaller = |manifest: &mut Value| manifest["decoder"]["vocabulary"] = 300.into();
    assert_says(&refused(|folder| edit(folder, smaller)), &["tokenizer.json", "vocabulary of 300"]);
}

#[test]
fn missing_cuda_libraries_are_listed() {
    // The CPU build of ONNX Runtime has no CUDA provider in its folder, also on machines with a GPU.
    let error = HunyuanOcr::load(&files(), &HunyuanOptions { device: Device::Cuda, ..options(1) })
        .expect_err("CUDA is not available");
    assert_says(
        &error,
        if cfg!(feature = "cuda") { &["libonnxruntime_providers_cuda.so"] } else { &["--features cuda"] },
    );
}
