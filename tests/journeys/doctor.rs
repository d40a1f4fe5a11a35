//! `quire doctor`, and what it says of parts that are not as they should be.

use std::{fs, path::Path};

use serde_json::Value;

use crate::harness::{Sheet, png, quire, quire_with};

async fn report(variables: &[(&str, &Path)]) -> (Option<i32>, Value) {
    let ended = quire_with(["doctor", "--format", "json"], |command| {
        command.envs(variables.iter().copied());
    });
    let ended = ended.await;
    let report = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"));
    (ended.code, report)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_can_read_is_told_with_what_and_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let fetched = quire(["doctor".as_ref(), "--fetch".as_ref(), "--data".as_ref(), folder.path().as_os_str()]).await;
    assert_eq!(fetched.code, Some(0), "{fetched:#?}");
    for said in ["This machine can read.", "provider", "\"Quire reads 0123456789\"", "PP-OCRv6_rec_small.onnx"] {
        assert!(fetched.stdout.contains(said), "{said}: {fetched:#?}");
    }
    let (code, report) = report(&[("QUIRE_DATA", folder.path())]).await;
    assert_eq!((code, &report["ok"], &report["advice"]), (Some(0), &Value::Bool(true), &Value::Array(Vec::new())));
    assert_eq!(report["trial"]["provider"], report["provider"]["name"]);
    assert!(report["provider"]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{report:#}");
    assert!(report["machine"]["processors"].as_u64().is_some_and(|count| count > 0), "{report:#}");
    assert_eq!(report["models"][1]["inputs"], serde_json::json!(["x f32[-1, 3, 48, -1]"]), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_told_with_what_to_do_and_nothing_is_fetched() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let (code, report) = report(&[("QUIRE_CACHE_DIR", &cache), ("QUIRE_DATA", folder.path())]).await;
    assert_eq!((code, &report["ok"]), (Some(1), &Value::Bool(false)));
    let advice = report["advice"].to_string();
    assert!(advice.contains("quire doctor --fetch"), "{advice}");
    assert!(!cache.exists(), "nothing is fetched");
}

/// Half a model: the doctor finds it, and reading refuses it at its start.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_cut_off_is_refused_with_what_was_expected() {
    let folder = tempfile::tempdir().expect("a folder");
    let models = tokio::task::spawn_blocking(|| quire_native_libs::models(&quire_native_libs::Progress::Silent));
    let models = models.await.expect("no panic").expect("the models");
    for model in [&models.detection, &models.recognition] {
        let bytes = fs::read(model).expect("a model");
        let kept = if model == &models.recognition { bytes.len() / 2 } else { bytes.len() };
        fs::write(folder.path().join(model.file_name().expect("a name")), &bytes[..kept]).expect("a copy");
    }
    let variables = [("QUIRE_MODELS_DIR", folder.path()), ("QUIRE_DATA", folder.path())];
    let (code, report) = report(&variables).await;
    assert_eq!(code, Some(1), "{report:#}");
    let expected = "it is cut off: it should have at least";
    assert!(report["models"][1]["problem"].as_str().is_some_and(|said| said.contains(expected)), "{report:#}");
    assert!(report["advice"].to_string().contains(expected), "{report:#}");

    let card = folder.path().join("card.png");
    fs::write(&card, png(&Sheet::new("Not to be read"))).expect("a file");
    let ended = quire_with(["read".as_ref(), card.as_os_str()], |command| {
        command.env("QUIRE_MODELS_DIR", folder.path());
    });
    let ended = ended.await;
    assert!(ended.code != Some(0) && ended.stderr.contains(expected), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_asked_for_by_name_is_refused_where_it_cannot_be_had_and_replaced_where_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let card = folder.path().join("card.png");
    fs::write(&card, png(&Sheet::new("By whatever"))).expect("a file");
    // OpenVINO's folder without OpenVINO.
    let read = |provider: &'static str| {
        quire_with(["read".as_ref(), "--provider".as_ref(), provider.as_ref(), card.as_os_str()], |command| {
            command.env("QUIRE_OPENVINO_DIR", folder.path());
        })
    };
    let asked = read("openvino").await;
    assert!(asked.code == Some(1) && asked.stderr.contains("QUIRE_OPENVINO_DIR"), "{asked:#?}");
    let by_itself = read("auto").await;
    assert_eq!(crate::harness::squeezed(&by_itself.stdout), "Bywhatever", "{by_itself:#?}");
}
