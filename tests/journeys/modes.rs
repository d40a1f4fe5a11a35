//! Modes and engines that requests choose, and the combinations that are rejected.

use serde_json::{Value, json};

use crate::harness::{
    ModelBehavior, ModelServer, ServeOptions, ServeProcess, TestPage, UploadFile, engine_config, engine_of,
    files_below, pdf, png, text_of, without_whitespace,
};

/// Returns a configuration that routes all modes to the server; PP-OCR is available by name.
fn all_modes_config(server: &ModelServer) -> Value {
    let modes = ["text", "markdown", "spotting", "table", "formula", "fields", "subtitles", "translate"];
    let engines = json!({ "a@1": server.engine(&json!({})), "pp-ocr@v6-small": { "kind": "pp-ocr" } });
    engine_config(&engines, &json!([{ "modes": modes, "primary": "a@1" }]))
}

fn card() -> UploadFile {
    UploadFile::new("card.png", png(&TestPage::new("A card")))
}

/// The fields of a request, without its file.
type FormFields = &'static [(&'static str, &'static str)];

/// The fields for each mode, and how its text starts. `…` is a placeholder for the hash of the page.
const MODES: [(FormFields, &str); 8] = [
    (&[("mode", "text")], "Page …\nSecond line"),
    (&[("mode", "markdown")], "# Page …\n\n| a | b |"),
    (&[("mode", "spotting")], "Page …\nSecond line"),
    (&[("mode", "table")], "<table><tr><td>Page …</td></tr></table>"),
    (&[("mode", "formula")], "\\frac{a}{b}"),
    (
        &[("mode", "fields"), ("keys", "total"), ("keys", "date"), ("keys", "due")],
        "{\"total\": \"12.50\", \"date\": \"\"}",
    ),
    (&[("mode", "subtitles")], "First\nSecond"),
    (&[("mode", "translate"), ("language", "Welsh")], "Translated: Page …"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_mode_returns_its_own_format_synchronously_and_asynchronously() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ModelServer::start();
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).engines(&all_modes_config(&server))).await;
    let api = serve.api();
    for (fields, prefix) in MODES {
        let mode = fields[0].1;
        let at_once = api.post_form("/ocr", [card()], fields).await.expect_status(200);
        let id = api.post_form("/ocr/async", [card()], fields).await.accepted_task_id();
        let task = api.await_end(&id).await;
        assert_eq!((&task["mode"], &task["engine"], &task["pinned"]), (&json!(mode), &json!("a@1"), &json!(false)));
        let request = server.requests().pop().expect("the server got a request");
        assert_eq!(request.mode.as_deref(), Some(mode));
        assert!(mode != "translate" || request.prompt.contains("Welsh"), "{request:?}");
        let expected = prefix.replace('…', &format!("{} by a/model", request.page));
        for page in [&at_once["pages"][0], &task["documents"][0]["pages"][0]] {
            assert!(text_of(page).starts_with(&expected), "{mode}: {page:#}");
            assert_eq!(page["mode"], mode, "{page:#}");
            assert_eq!(engine_of(page), "a@1");
            assert!(page.get("tried").is_none() && page.get("warnings").is_none(), "{page:#}");
            assert_mode_specific_members(mode, page);
        }
    }
}

fn assert_mode_specific_members(mode: &str, page: &Value) {
    let fields = json!({ "total": "12.50", "date": null, "due": null });
    assert_eq!(page.get("fields"), (mode == "fields").then_some(&fields), "{page:#}");
    let polygon = &page["lines"][0]["polygon"];
    assert_eq!(polygon.is_array(), mode == "spotting", "{page:#}");
    if mode == "spotting" {
        // The fake server returns (100, 250) in thousandths of the page.
        let size = |name: &str| page[name].as_f64().expect("a size");
        let corner = [&polygon[0][0], &polygon[0][1]].map(|coordinate| coordinate.as_f64().expect("a coordinate"));
        let is_near = (corner[0] - 0.1 * size("width")).abs() < 1.0 && (corner[1] - 0.25 * size("height")).abs() < 1.0;
        assert!(is_near, "{page:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_without_an_engine_is_rejected_before_anything_is_stored() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).dev()).await;
    let api = serve.api();
    let refused: [(FormFields, &str, &str); 9] = [
        (&[("mode", "formula")], "mode_not_offered", "#/mode"),
        (&[("mode", "fields"), ("keys", "total")], "mode_not_offered", "#/mode"),
        (&[("engine", "pp-ocr"), ("mode", "formula")], "mode_not_offered", "#/mode"),
        (&[("mode", "fields")], "missing_field", "#/keys"),
        (&[("mode", "translate")], "missing_field", "#/language"),
        (&[("mode", "poem")], "invalid_field", "#/mode"),
        (&[("keys", "total")], "invalid_field", "#/keys"),
        (&[("engine", "b@1")], "engine_not_offered", "#/engine"),
        (&[("engine", "pp-ocr@v0")], "engine_not_offered", "#/engine"),
    ];
    for (fields, code, pointer) in refused {
        for path in ["/ocr", "/ocr/batch", "/ocr/async"] {
            let answer = api.post_form(path, [card()], fields).await;
            assert_eq!(answer.body["pointer"], pointer, "{path} {fields:?}: {answer:#?}");
            assert_eq!(answer.problem_code(422), code, "{path} {fields:?}");
        }
    }
    let body = json!({ "image_url": "http://127.0.0.1:9/a.png", "mode": "fields", "keys": ["total"] });
    let answer = api.post_json("/ocr/async", &body).await;
    let detail = answer.body["detail"].as_str().expect("a detail").to_owned();
    assert!(
        detail.contains("fields") && detail.contains("text"),
        "the detail names the requested and the available mode: {detail}"
    );
    assert_eq!(answer.problem_code(422), "mode_not_offered");
    assert_eq!(files_below(&serve.objects()), [""; 0], "nothing is stored");
    assert_eq!(files_below(&serve.data().join("spool")), [""; 0], "the spool is empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_pins_its_engine_is_read_by_no_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ModelServer::start();
    let engines = json!({
        "a@1": server.engine(&json!({})),
        "a@2": server.engine(&json!({ "model": "a/newer" })),
        "pp-ocr@v6-small": { "kind": "pp-ocr" },
    });
    let routes = json!([{ "modes": ["text"], "primary": "a@1", "fallback": "pp-ocr@v6-small" }]);
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).engines(&engine_config(&engines, &routes))).await;
    let api = serve.api();
    for (wanted, engine) in [("a@2", "a@2"), ("pp-ocr", "pp-ocr@v6-small")] {
        let id = api.post_form("/ocr/async", [card()], &[("engine", wanted)]).await.accepted_task_id();
        let task = api.await_end(&id).await;
        assert_eq!((&task["engine"], &task["pinned"]), (&json!(engine), &json!(true)), "{task:#}");
        assert_eq!(engine_of(&task["documents"][0]["pages"][0]), engine);
    }
    assert_eq!(server.requests().pop().expect("the server got a request").model, "a/newer");
    assert_eq!(api.post_form("/ocr", [card()], &[("engine", "a")]).await.problem_code(422), "engine_not_offered");
    server.set_yellow_behavior(ModelBehavior::Status(400));
    let sheets = [TestPage::new("One"), TestPage::new("Two").yellow()];
    let upload = || [UploadFile::new("two.pdf", pdf(&sheets))];
    let pinned = api.post_form("/ocr/async", upload(), &[("engine", "a@1")]).await.accepted_task_id();
    let with_fallback = api.post_form("/ocr/async", upload(), &[]).await.accepted_task_id();
    let task = api.await_end(&pinned).await;
    assert_eq!(task["status"], "partially_succeeded", "a pinned task has no fallback: {task:#}");
    assert_eq!(task["documents"][0]["pages"][1]["error"]["code"], "model_failed", "{task:#}");
    let task = api.await_end(&with_fallback).await;
    assert_eq!(without_whitespace(text_of(&task["documents"][0]["pages"][1])), "Two", "{task:#}");
}
