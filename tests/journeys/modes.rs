//! What can be made of a page, by whom, and what is refused.

use serde_json::{Value, json};

use crate::harness::{
    Launch, Manner, ModelServer, Serve, Sheet, Upload, engine_of, files_below, pdf, png, routed, squeezed, text_of,
};

/// Everything by the server, and PP-OCR for those who ask for it.
fn everything(server: &ModelServer) -> Value {
    let modes = ["text", "markdown", "spotting", "table", "formula", "fields", "subtitles", "translate"];
    let engines = json!({ "a@1": server.engine(&json!({})), "pp-ocr@v6-small": { "kind": "pp-ocr" } });
    routed(&engines, &json!([{ "modes": modes, "primary": "a@1" }]))
}

fn card() -> Upload {
    Upload::new("card.png", png(&Sheet::new("A card")))
}

/// What a request says besides its file.
type Fields = &'static [(&'static str, &'static str)];

/// Each mode with what must be said for it, and how its text begins; the page itself stands for `…`.
const MODES: [(Fields, &str); 8] = [
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
async fn every_mode_is_answered_in_its_own_form_whichever_way_it_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ModelServer::start();
    let serve = Serve::start(Launch::new(folder.path()).engines(&everything(&server))).await;
    let api = serve.api();
    for (fields, beginning) in MODES {
        let mode = fields[0].1;
        let at_once = api.ask("/ocr", [card()], fields).await.body(200);
        let id = api.ask("/ocr/async", [card()], fields).await.accepted();
        let task = api.ended(&id).await;
        assert_eq!((&task["mode"], &task["engine"], &task["pinned"]), (&json!(mode), &json!("a@1"), &json!(false)));
        let seen = server.asked().pop().expect("it was asked");
        assert_eq!(seen.mode.as_deref(), Some(mode));
        assert!(mode != "translate" || seen.prompt.contains("Welsh"), "{seen:?}");
        let expected = beginning.replace('…', &format!("{} by a/model", seen.page));
        for page in [&at_once["pages"][0], &task["documents"][0]["pages"][0]] {
            assert!(text_of(page).starts_with(&expected), "{mode}: {page:#}");
            assert_eq!(page["mode"], mode, "{page:#}");
            assert_eq!(engine_of(page), "a@1");
            assert!(page.get("tried").is_none() && page.get("warnings").is_none(), "{page:#}");
            has_what_only_its_mode_gives(mode, page);
        }
    }
}

fn has_what_only_its_mode_gives(mode: &str, page: &Value) {
    let fields = json!({ "total": "12.50", "date": null, "due": null });
    assert_eq!(page.get("fields"), (mode == "fields").then_some(&fields), "{page:#}");
    let polygon = &page["lines"][0]["polygon"];
    assert_eq!(polygon.is_array(), mode == "spotting", "{page:#}");
    if mode == "spotting" {
        // From a tenth and a quarter of the page, as the server said.
        let size = |name: &str| page[name].as_f64().expect("a size");
        let corner = [&polygon[0][0], &polygon[0][1]].map(|place| place.as_f64().expect("a place"));
        let near = (corner[0] - 0.1 * size("width")).abs() < 1.0 && (corner[1] - 0.25 * size("height")).abs() < 1.0;
        assert!(near, "{page:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_engine_here_reads_is_refused_and_nothing_of_it_is_stored() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = Serve::start(Launch::new(folder.path()).dev()).await;
    let api = serve.api();
    let refused: [(Fields, &str, &str); 9] = [
        (&[("mode", "table")], "mode_not_offered", "#/mode"),
        (&[("mode", "fields"), ("keys", "total")], "mode_not_offered", "#/mode"),
        (&[("engine", "pp-ocr"), ("mode", "markdown")], "mode_not_offered", "#/mode"),
        (&[("mode", "fields")], "missing_field", "#/keys"),
        (&[("mode", "translate")], "missing_field", "#/language"),
        (&[("mode", "poem")], "invalid_field", "#/mode"),
        (&[("keys", "total")], "invalid_field", "#/keys"),
        (&[("engine", "b@1")], "engine_not_offered", "#/engine"),
        (&[("engine", "pp-ocr@v0")], "engine_not_offered", "#/engine"),
    ];
    for (fields, code, pointer) in refused {
        for path in ["/ocr", "/ocr/batch", "/ocr/async"] {
            let answer = api.ask(path, [card()], fields).await;
            assert_eq!(answer.body["pointer"], pointer, "{path} {fields:?}: {answer:#?}");
            assert_eq!(answer.problem(422), code, "{path} {fields:?}");
        }
    }
    let body = json!({ "image_url": "http://127.0.0.1:9/a.png", "mode": "fields", "keys": ["total"] });
    let answer = api.post_json("/ocr/async", &body).await;
    let detail = answer.body["detail"].as_str().expect("a detail").to_owned();
    assert!(detail.contains("fields") && detail.contains("text"), "it says what there is: {detail}");
    assert_eq!(answer.problem(422), "mode_not_offered");
    assert_eq!(files_below(&serve.objects()), [""; 0], "nothing is stored");
    assert_eq!(files_below(&serve.data().join("spool")), [""; 0], "nothing is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_names_its_engine_is_read_by_that_one_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ModelServer::start();
    let engines = json!({
        "a@1": server.engine(&json!({})),
        "a@2": server.engine(&json!({ "model": "a/newer" })),
        "pp-ocr@v6-small": { "kind": "pp-ocr" },
    });
    let routes = json!([{ "modes": ["text"], "primary": "a@1", "fallback": "pp-ocr@v6-small" }]);
    let serve = Serve::start(Launch::new(folder.path()).engines(&routed(&engines, &routes))).await;
    let api = serve.api();
    for (wanted, engine) in [("a@2", "a@2"), ("pp-ocr", "pp-ocr@v6-small")] {
        let id = api.ask("/ocr/async", [card()], &[("engine", wanted)]).await.accepted();
        let task = api.ended(&id).await;
        assert_eq!((&task["engine"], &task["pinned"]), (&json!(engine), &json!(true)), "{task:#}");
        assert_eq!(engine_of(&task["documents"][0]["pages"][0]), engine);
    }
    assert_eq!(server.asked().pop().expect("it was asked").model, "a/newer");
    assert_eq!(api.ask("/ocr", [card()], &[("engine", "a")]).await.problem(422), "engine_not_offered");
    server.behaves_with_yellow(Manner::Status(400));
    let sheets = [Sheet::new("One"), Sheet::new("Two").yellow()];
    let upload = || [Upload::new("two.pdf", pdf(&sheets))];
    let alone = api.ask("/ocr/async", upload(), &[("engine", "a@1")]).await.accepted();
    let with_fallback = api.ask("/ocr/async", upload(), &[]).await.accepted();
    let task = api.ended(&alone).await;
    assert_eq!(task["status"], "partially_succeeded", "nobody else may: {task:#}");
    assert_eq!(task["documents"][0]["pages"][1]["error"]["code"], "model_failed", "{task:#}");
    let task = api.ended(&with_fallback).await;
    assert_eq!(squeezed(text_of(&task["documents"][0]["pages"][1])), "Two", "{task:#}");
}
