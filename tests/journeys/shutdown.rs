//! Graceful shutdown of `serve`, and the lock on its data.

use std::time::{Duration, Instant};

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::harness::{
    ServeOptions, ServeProcess, TestPage, UploadFile, eventually, expected_texts, faulty_quire, files_below, pdf, png,
    quire, text_of, without_whitespace,
};

const PAGES: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_finishes_pages_in_flight_and_the_next_start_continues() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut serve = ServeProcess::start(ServeOptions::new(folder.path())).await;
    let sheets: Vec<TestPage> = (1..=PAGES).map(|page| TestPage::new(format!("Chapter {page}"))).collect();
    let id = serve.api().submit_without_callback([UploadFile::new("book.pdf", pdf(&sheets))]).await.accepted_task_id();
    eventually("the first pages are read", || async {
        (serve.api().task(&id).await["progress"]["succeeded"] != 0).then_some(())
    })
    .await;
    let stop_requested = Instant::now();
    let status = serve.stop().await;
    assert_eq!(status.code(), Some(0), "{}", serve.log());
    assert!(stop_requested.elapsed() < Duration::from_secs(20), "it took {:?}", stop_requested.elapsed());
    assert_eq!(serve.workers(), [""; 0], "no worker survives its server");

    serve.restart();
    serve.await_healthy().await;
    let task = serve.api().await_end(&id).await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    let pages = task["documents"][0]["pages"].as_array().expect("pages");
    let texts: Vec<String> = pages.iter().map(|page| without_whitespace(text_of(page))).collect();
    assert_eq!(texts, (1..=PAGES).map(|page| format!("Chapter{page}")).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_waits_for_a_hanging_page_up_to_the_drain_timeout() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let launch = ServeOptions::new(folder.path()).program(faulty_quire()).variable("QUIRE_DRAIN_SECS", "2");
    let mut serve = ServeProcess::start(launch).await;
    let endless = UploadFile::new("endless.png", png(&TestPage::new("Endless").cyan()));
    let id = serve.api().submit_without_callback([endless]).await.accepted_task_id();
    eventually("the page is in flight", || async {
        (serve.api().get("/healthz").await.body["queues"]["pages"]["in_flight"] == 1).then_some(())
    })
    .await;
    let stop_requested = Instant::now();
    let status = serve.stop().await;
    assert_eq!(status.code(), Some(0), "{}", serve.log());
    assert!(stop_requested.elapsed() < Duration::from_secs(30), "it took {:?}", stop_requested.elapsed());
    assert_eq!(serve.workers(), [""; 0], "no worker survives its server");
    assert!(serve.log().contains(expected_texts::PAGES_RELEASED), "{}", serve.log());

    let serve = ServeProcess::start(ServeOptions::new(folder.path())).await;
    assert_eq!(serve.api().await_end(&id).await["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_client_gets_the_status_url_when_the_server_stops() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut serve = ServeProcess::start(ServeOptions::new(folder.path())).await;
    let api = serve.api();
    let sheets: Vec<TestPage> = (1..=60).map(|page| TestPage::new(format!("Chapter {page}"))).collect();
    let client = tokio::spawn(async move { api.ocr(UploadFile::new("long.pdf", pdf(&sheets))).await });
    eventually("the first page is read", || async {
        (!files_below(&serve.objects().join("pages")).is_empty()).then_some(())
    })
    .await;
    assert!(serve.stop().await.success());
    let answer = client.await.expect("the client does not panic");
    let location = answer.header("location").map(str::to_owned);
    assert_eq!(answer.expect_status(202)["status_url"].as_str(), location.as_deref());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_an_unfinished_request_does_not_block_the_shutdown() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut serve = ServeProcess::start(ServeOptions::new(folder.path())).await;
    let base = serve.api().base;
    let mut socket = TcpStream::connect(base.strip_prefix("http://").expect("plain HTTP"))
        .await
        .expect("the server accepts connections");
    socket.write_all(b"POST /ocr HTTP/1.1\r\nHo").await.expect("the server reads the request");
    let stop_requested = Instant::now();
    assert!(serve.stop().await.success());
    assert!(stop_requested.elapsed() < Duration::from_secs(30), "it took {:?}", stop_requested.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_cannot_share_a_data_folder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = ServeProcess::start(ServeOptions::new(folder.path())).await;
    let data = serve.data();
    let data = data.to_str().expect("the path is UTF-8");
    let second = quire(["serve", "--listen", "127.0.0.1:0", "--data", data]).await;
    let error = second.expect_error_line();
    assert!(error.contains(expected_texts::DATA_IN_USE) && error.contains(data), "{error}");
    assert_eq!(serve.api().get("/healthz").await.status, 200, "the first server still works");
}
