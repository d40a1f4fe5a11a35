//! The API as a Lambda function, which is frozen between requests, and the validation of PDFs by its own program.

use std::{
    fmt::Write as _,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, extract::Request, routing::get};
use quire_egress::{Client, EgressPolicy};
use quire_platform::{Consumer, QueueName};
use quire_submit::{AppState, Inspector, SubmitSettings, handle_upload_event, ingest_all, lambda, router};
use quire_tasks::{DocumentFormat, SplitDocument};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{AlwaysHealthy, FormPart, StoreFault, TestWorld, body, boundary, image, inspector};

#[tokio::test]
async fn a_response_is_sent_after_all_background_work() {
    let world = TestWorld::without_worker(|settings| settings.sync_limit = Duration::from_millis(50)).await;
    world.faults.set(Some(StoreFault::Slow));
    for path in ["/ocr", "/ocr/batch", "/ocr/async"] {
        let before = world.depth(QueueName::Pages).await;
        let field = if path == "/ocr" { "image" } else { "images" };
        let form = body(&[FormPart { field, ..image("pages=3") }]);
        let request = Request::post(path).header("content-type", boundary()).body(Body::from(form)).expect("a request");
        let router = router(Arc::clone(&world.app));
        let response = lambda::answer(&world.app, router, request, Duration::from_secs(20)).await;
        assert_eq!(response.status(), 202);
        // Without a wait: a frozen process does nothing later.
        assert_eq!(world.depth(QueueName::Pages).await, before + 3, "{path}");
    }
}

#[tokio::test]
async fn a_response_is_sent_in_time_despite_background_work() {
    let world = TestWorld::without_worker(|_| {}).await;
    // Refused by its length; its body, which never arrives, is drained for a while.
    let never = futures_util::stream::pending::<Result<&str, std::io::Error>>();
    let request = Request::post("/ocr").header("content-length", u64::MAX).body(Body::from_stream(never));
    let (router, begun) = (router(Arc::clone(&world.app)), Instant::now());
    let request = request.expect("a request");
    let response = lambda::answer(&world.app, router, request, Duration::from_millis(200)).await;
    assert_eq!(response.status(), 413);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_response_over_the_lambda_limit_is_compressed_or_refused() {
    let world = TestWorld::without_worker(|_| {}).await;
    let line = r#"{"text":"a line","confidence":0.98,"polygon":[[1,2],[3,4],[5,6],[7,8]]},"#;
    let noise = || Uuid::now_v7().simple().to_string();
    let app = Router::new()
        .route("/small", get(async || "small"))
        .route("/large", get(async move || line.repeat(200_000)))
        .route("/noise", get(async move || (0..400_000).map(|_| noise()).collect::<String>()));
    let ask = async |path: &str, encoding: &str| {
        let request = Request::get(path).header("accept-encoding", encoding).body(Body::empty()).expect("a request");
        let response = lambda::answer(&world.app, app.clone(), request, Duration::from_secs(20)).await;
        let (parts, body) = response.into_parts();
        let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().expect("plain").to_owned());
        let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
        (parts.status.as_u16(), header("content-encoding"), body)
    };
    assert_eq!(ask("/small", "gzip").await, (200, None, "small".into()));
    let (status, encoding, body) = ask("/large", "gzip, br").await;
    assert_eq!((status, encoding.as_deref()), (200, Some("gzip")));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).expect("gzip");
    assert_eq!(text, line.repeat(200_000));
    for (path, encoding, detail) in
        [("/large", "identity", "Accept-Encoding: gzip"), ("/noise", "gzip", "even compressed")]
    {
        let (status, _, body) = ask(path, encoding).await;
        let problem: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!((status, &problem["code"]), (406, &"answer_too_large".into()));
        assert!(problem["detail"].as_str().is_some_and(|text| text.contains(detail)), "{problem}");
    }
}

/// Unpacks a function's program like its zip: with `PDFium` beside it.
pub(crate) fn unpacked(program: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let bootstrap = folder.path().join("bootstrap");
    std::fs::hard_link(program, &bootstrap).expect("a link within the target folder");
    let pdfium = quire_native_libs::pdfium(&quire_native_libs::Progress::Silent).expect("pdfium");
    std::fs::copy(pdfium, folder.path().join("libpdfium.so")).expect("a copy");
    (folder, bootstrap)
}

#[tokio::test]
async fn a_function_validates_pdfs_in_child_processes_of_its_own_program() {
    for program in [env!("CARGO_BIN_EXE_submit-api"), env!("CARGO_BIN_EXE_submit-ingest")] {
        let (_folder, bootstrap) = unpacked(program);
        let inspector = inspector(bootstrap);
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/invoice.pdf");
        let found = inspector.inspect(&sample).await;
        assert_eq!(found, Ok(SplitDocument { format: DocumentFormat::Pdf, pages: 2 }), "{program}");
    }
}

/// Returns a PDF of this many small pages, each with its own text.
fn pdf(pages: usize) -> Vec<u8> {
    let mut file = "%PDF-1.7\n".to_owned();
    let mut offsets = Vec::new();
    let mut object = |file: &mut String, content: &str| {
        offsets.push(file.len());
        let _ = write!(file, "{} 0 obj\n{content}\nendobj\n", offsets.len());
    };
    let kids = (0..pages).fold(String::new(), |kids, page| format!("{kids}{} 0 R ", 4 + 2 * page));
    object(&mut file, "<</Type/Catalog/Pages 2 0 R>>");
    object(&mut file, &format!("<</Type/Pages/Count {pages}/Kids[{kids}]>>"));
    object(&mut file, "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>");
    for page in 0..pages {
        let about = "/Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F 3 0 R>>>>";
        object(&mut file, &format!("<<{about}/Contents {} 0 R>>", 5 + 2 * page));
        let text = format!("BT /F 24 Tf 72 720 Td (page {page}) Tj ET");
        object(&mut file, &format!("<</Length {}>>stream\n{text}\nendstream", text.len()));
    }
    let (start, count) = (file.len(), offsets.len() + 1);
    let entries = offsets.iter().fold(String::new(), |entries, offset| format!("{entries}{offset:010} 00000 n \n"));
    let _ = write!(file, "xref\n0 {count}\n0000000000 65535 f \n{entries}");
    let _ = write!(file, "trailer\n<</Size {count}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n");
    file.into_bytes()
}

#[tokio::test]
async fn a_pdf_of_3_000_pages_is_ingested_within_the_time_and_memory_of_a_function() {
    let world = TestWorld::without_worker(|_| {}).await;
    let (_folder, bootstrap) = unpacked(env!("CARGO_BIN_EXE_submit-ingest"));
    // The child, this process and the function's own 150 MB must fit into 2048 MB.
    let limited = bootstrap.with_file_name("limited");
    let script = format!("#!/bin/sh\nulimit -v 1048576\nexec '{}' \"$@\"\n", bootstrap.display());
    std::fs::write(&limited, script).expect("a script");
    std::fs::set_permissions(&limited, PermissionsExt::from_mode(0o755)).expect("its permissions");
    let egress = Client::new(EgressPolicy::default()).expect("a client");
    let inspector = Arc::new(inspector(limited));
    let (backend, settings) = (world.backend.clone(), SubmitSettings::default());
    let routes = Arc::clone(&world.routes);
    let app = Arc::new(AppState::new(
        backend.clone(),
        inspector,
        egress,
        settings,
        Arc::new(AlwaysHealthy),
        Arc::clone(&routes),
    ));

    backend.objects.put("inbox/long.pdf", pdf(3000).into()).await.expect("put");
    let object = json!({"key": "inbox/long.pdf", "versionId": "1"});
    let event = json!({"Records": [{"s3": {"bucket": {"name": "b"}, "object": object}}]});
    handle_upload_event(&backend, &routes, serde_json::from_value(event).expect("an event"), None)
        .await
        .expect("taken in");
    let consumer = Consumer::new(backend.queue(QueueName::Documents), Duration::from_mins(3));
    let received = consumer.receive(1, Duration::from_secs(10)).await.expect("received");

    let begun = Instant::now();
    ingest_all(&app, received, Duration::from_mins(2)).await;
    eprintln!("3,000 pages took {:?}", begun.elapsed());
    assert_eq!(world.depth(QueueName::Pages).await, 3000);
    assert_eq!(world.depth(QueueName::Documents).await, 0);
}
