//! `quire doctor`: its report, and missing or broken models and libraries.

use std::{fs, path::Path};

use serde_json::Value;

use crate::harness::{TestPage, expected_texts, png, quire, quire_with, without_whitespace};

/// Runs `doctor --format json` and returns its exit code and report.
async fn report(variables: &[(&str, &Path)]) -> (Option<i32>, Value) {
    let ended = quire_with(["doctor", "--format", "json"], |command| {
        command.envs(variables.iter().copied());
    });
    let ended = ended.await;
    let report = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"));
    (ended.code, report)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_machine_is_reported_with_its_provider() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fetched = quire(["doctor".as_ref(), "--fetch".as_ref(), "--data".as_ref(), folder.path().as_os_str()]).await;
    assert_eq!(fetched.code, Some(0), "{fetched:#?}");
    for text in [
        expected_texts::DOCTOR_SUMMARY,
        expected_texts::DOCTOR_PROVIDER,
        "\"Quire reads 0123456789\"",
        "PP-OCRv6_rec_small.onnx",
    ] {
        assert!(fetched.stdout.contains(text), "{text}: {fetched:#?}");
    }
    let (code, report) = report(&[("QUIRE_DATA", folder.path())]).await;
    assert_eq!((code, &report["ok"], &report["advice"]), (Some(0), &Value::Bool(true), &Value::Array(Vec::new())));
    assert_eq!(report["trial"]["provider"], report["provider"]["name"]);
    assert!(report["provider"]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{report:#}");
    assert!(report["machine"]["processors"].as_u64().is_some_and(|count| count > 0), "{report:#}");
    assert_eq!(report["models"][1]["inputs"], serde_json::json!(["x f32[-1, 3, 48, -1]"]), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_files_are_reported_with_advice_and_not_fetched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cache = folder.path().join("cache");
    let (code, report) = report(&[("QUIRE_CACHE_DIR", &cache), ("QUIRE_DATA", folder.path())]).await;
    assert_eq!((code, &report["ok"]), (Some(1), &Value::Bool(false)));
    let advice = report["advice"].to_string();
    assert!(advice.contains("quire doctor --fetch"), "{advice}");
    assert!(!cache.exists(), "nothing is fetched");
}

/// `doctor` finds the truncated model, and `read` refuses to start with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_model_is_refused_with_its_expected_size() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let models = tokio::task::spawn_blocking(|| quire_native_libs::models(&quire_native_libs::Progress::Silent));
    let models = models.await.expect("the task does not panic").expect("the models are installed");
    for model in [&models.detection, &models.recognition] {
        let bytes = fs::read(model).expect("the model can be read");
        let kept = if model == &models.recognition { bytes.len() / 2 } else { bytes.len() };
        fs::write(folder.path().join(model.file_name().expect("a name")), &bytes[..kept]).expect("a copy");
    }
    let variables = [("QUIRE_MODELS_DIR", folder.path()), ("QUIRE_DATA", folder.path())];
    let (code, report) = report(&variables).await;
    assert_eq!(code, Some(1), "{report:#}");
    let expected = expected_texts::MODEL_TRUNCATED;
    assert!(report["models"][1]["problem"].as_str().is_some_and(|problem| problem.contains(expected)), "{report:#}");
    assert!(report["advice"].to_string().contains(expected), "{report:#}");

    let card = folder.path().join("card.png");
    fs::write(&card, png(&TestPage::new("Not to be read"))).expect("the file can be written");
    let ended = quire_with(["read".as_ref(), card.as_os_str()], |command| {
        command.env("QUIRE_MODELS_DIR", folder.path());
    });
    let ended = ended.await;
    assert!(ended.code != Some(0) && ended.stderr.contains(expected), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requested_provider_must_exist_and_an_automatic_one_falls_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let card = folder.path().join("card.png");
    fs::write(&card, png(&TestPage::new("By whatever"))).expect("the file can be written");
    // The folder contains no OpenVINO.
    let read = |provider: &'static str| {
        quire_with(["read".as_ref(), "--provider".as_ref(), provider.as_ref(), card.as_os_str()], |command| {
            command.env("QUIRE_OPENVINO_DIR", folder.path());
        })
    };
    let requested = read("openvino").await;
    assert!(requested.code == Some(1) && requested.stderr.contains("QUIRE_OPENVINO_DIR"), "{requested:#?}");
    let automatic = read("auto").await;
    assert_eq!(without_whitespace(&automatic.stdout), "Bywhatever", "{automatic:#?}");
}
