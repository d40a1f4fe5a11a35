//! Refused requests, each with its code, and with nothing stored.

use crate::support::{FormPart, TestResponse, TestWorld, body, boundary, image, images};

#[tokio::test]
async fn a_refused_document_has_the_status_of_its_code_and_is_not_stored() {
    let world = TestWorld::new().await;
    for (code, status) in [
        ("unsupported_format", 415),
        ("document_too_large", 413),
        ("too_many_pages", 413),
        ("too_many_pixels", 413),
        ("empty_document", 422),
        ("encrypted_document", 422),
        ("unreadable_document", 422),
        ("internal", 500),
    ] {
        let content = format!("refuse={code}");
        let problem = world.post("/ocr", &[image(&content)]).await.problem(status, code);
        assert_eq!(problem["retryable"], status == 500);
        assert_eq!(problem["pointer"], "#/image");
        assert!(problem.get("task_id").is_none());
    }
    world.assert_empty().await;
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let world = TestWorld::new().await;
    world.get("/nowhere").await.problem(404, "not_found");
    world.get("/task/").await.problem(404, "not_found");
    let answer = world.get("/ocr").await;
    answer.problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
    let answer = TestResponse::read(world.client.delete(world.url("/healthz")).send().await.expect("an answer")).await;
    answer.problem(405, "method_not_allowed");
}

#[tokio::test]
async fn a_body_of_another_type_is_refused() {
    let world = TestWorld::new().await;
    for path in ["/ocr", "/ocr/batch", "/ocr/async"] {
        for kind in ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded"] {
            let request = world.client.post(world.url(path)).header("content-type", kind).body("image=1");
            TestResponse::read(request.send().await.expect("an answer")).await.problem(415, "unsupported_media_type");
        }
        let request = world.client.post(world.url(path));
        TestResponse::read(request.send().await.expect("an answer")).await.problem(415, "unsupported_media_type");
    }
}

#[tokio::test]
async fn a_malformed_form_is_refused() {
    let world = TestWorld::new().await;
    let whole = body(&[image("pages=1")]);
    for wrong in ["", "no boundary at all", &whole[..whole.len() - 30], "--quire-test-boundary\r\n\r\n"] {
        let request = world.client.post(world.url("/ocr")).header("content-type", boundary()).body(wrong.to_owned());
        TestResponse::read(request.send().await.expect("an answer")).await.problem(400, "malformed_multipart");
    }
    world.assert_empty().await;
}

#[tokio::test]
async fn missing_unknown_and_repeated_fields_are_named() {
    let world = TestWorld::new().await;
    let problem = world.post("/ocr", &[]).await.problem(422, "missing_field");
    assert_eq!(problem["pointer"], "#/image");
    let problem = world.post("/ocr", &images(&["pages=1"])).await.problem(422, "unknown_field");
    assert_eq!(problem["pointer"], "#/images");
    let problem = world.post("/ocr", &[image("pages=1"), image("pages=1")]).await.problem(422, "too_many_files");
    assert_eq!(problem["pointer"], "#/image");
    let long = "x".repeat(5000);
    let callback = FormPart { field: "callback_url", file: None, content: &long };
    let problem = world.post("/ocr/async", &[callback, image("pages=1")]).await.problem(422, "url_refused");
    assert_eq!(problem["pointer"], "#/callback_url");
    world.assert_empty().await;
}

#[tokio::test]
async fn too_many_files_are_refused() {
    let world = TestWorld::without_worker(|settings| settings.max_files = 2).await;
    let problem = world.post("/ocr/batch", &images(&["pages=1"; 3])).await.problem(422, "too_many_files");
    assert_eq!(problem["pointer"], "#/images");
    world.assert_empty().await;
}

#[tokio::test]
async fn a_body_over_the_size_limit_is_refused() {
    let world = TestWorld::without_worker(|settings| settings.max_body_bytes = 1 << 20).await;
    let content = "x".repeat(3 << 20);
    let form = body(&[image(&content)]);
    let post = || world.client.post(world.url("/ocr")).header("content-type", boundary());
    let announced = post().body(form.clone()).send().await.expect("an answer");
    TestResponse::read(announced).await.problem(413, "body_too_large");
    let chunks: Vec<Result<String, std::io::Error>> =
        form.as_bytes().chunks(64 << 10).map(|chunk| Ok(String::from_utf8_lossy(chunk).into_owned())).collect();
    let chunked = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let grown = post().body(chunked).send().await.expect("an answer");
    TestResponse::read(grown).await.problem(413, "body_too_large");
    world.assert_empty().await;
}

#[tokio::test]
async fn only_a_valid_request_id_is_repeated() {
    let world = TestWorld::new().await;
    let ask = async |id: &'static str| {
        let request = world.client.get(world.url("/healthz")).header("x-request-id", id);
        let answer = TestResponse::read(request.send().await.expect("an answer")).await;
        answer.header("x-request-id").expect("a request id").to_owned()
    };
    assert_eq!(ask("abc-123_X").await, "abc-123_X");
    for foreign in ["", "a b", "<script>", "0123456789012345678901234567890123456789012345678901234567890123456789"] {
        assert!(ask(foreign).await.starts_with("req_"), "{foreign}");
    }
}

#[tokio::test]
async fn healthz_returns_the_health_of_the_program() {
    let world = TestWorld::new().await;
    let answer = world.get("/healthz").await;
    assert_eq!((answer.status, answer.json()), (200, serde_json::json!({"ok": true, "workers": 2})));
}
