//! How `serve` ends, and who may have its data.

use std::time::{Duration, Instant};

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::harness::{
    Launch, Serve, Sheet, Upload, eventually, faulty, files_below, pdf, png, quire, squeezed, text_of,
};

const PAGES: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_what_is_in_hand_and_the_next_start_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = Serve::start(Launch::new(folder.path())).await;
    let sheets: Vec<Sheet> = (1..=PAGES).map(|page| Sheet::new(format!("Chapter {page}"))).collect();
    let id = serve.api().submit_without_callback([Upload::new("book.pdf", pdf(&sheets))]).await.accepted();
    eventually("the first pages are read", || async {
        (serve.api().task(&id).await["progress"]["succeeded"] != 0).then_some(())
    })
    .await;
    let asked = Instant::now();
    let status = serve.stop().await;
    assert_eq!(status.code(), Some(0), "{}", serve.log());
    assert!(asked.elapsed() < Duration::from_secs(20), "it took {:?}", asked.elapsed());
    assert_eq!(serve.workers(), [""; 0], "no worker outlives its server");

    serve.revive();
    serve.healthy().await;
    let task = serve.api().ended(&id).await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    let pages = task["documents"][0]["pages"].as_array().expect("pages");
    let texts: Vec<String> = pages.iter().map(|page| squeezed(text_of(page))).collect();
    assert_eq!(texts, (1..=PAGES).map(|page| format!("Chapter{page}")).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_a_page_that_hangs_no_longer_than_it_may() {
    let folder = tempfile::tempdir().expect("a folder");
    let launch = Launch::new(folder.path()).program(faulty()).variable("QUIRE_DRAIN_SECS", "2");
    let mut serve = Serve::start(launch).await;
    let endless = Upload::new("endless.png", png(&Sheet::new("Endless").cyan()));
    let id = serve.api().submit_without_callback([endless]).await.accepted();
    eventually("the page is in hand", || async {
        (serve.api().get("/healthz").await.body["queues"]["pages"]["in_flight"] == 1).then_some(())
    })
    .await;
    let asked = Instant::now();
    let status = serve.stop().await;
    assert_eq!(status.code(), Some(0), "{}", serve.log());
    assert!(asked.elapsed() < Duration::from_secs(30), "it took {:?}", asked.elapsed());
    assert_eq!(serve.workers(), [""; 0], "no worker outlives its server");
    assert!(serve.log().contains("are released to other workers"), "{}", serve.log());

    let serve = Serve::start(Launch::new(folder.path())).await;
    assert_eq!(serve.api().ended(&id).await["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_client_is_told_where_to_look_when_the_server_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = Serve::start(Launch::new(folder.path())).await;
    let api = serve.api();
    let sheets: Vec<Sheet> = (1..=60).map(|page| Sheet::new(format!("Chapter {page}"))).collect();
    let client = tokio::spawn(async move { api.ocr(Upload::new("long.pdf", pdf(&sheets))).await });
    eventually("the first page is read", || async {
        (!files_below(&serve.objects().join("pages")).is_empty()).then_some(())
    })
    .await;
    assert!(serve.stop().await.success());
    let answer = client.await.expect("the client does its work");
    let location = answer.header("location").map(str::to_owned);
    assert_eq!(answer.body(202)["status_url"].as_str(), location.as_deref());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_comes_to_an_end_does_not_keep_the_server_from_ending() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = Serve::start(Launch::new(folder.path())).await;
    let base = serve.api().base;
    let mut socket = TcpStream::connect(base.strip_prefix("http://").expect("plain HTTP")).await.expect("a connection");
    socket.write_all(b"POST /ocr HTTP/1.1\r\nHo").await.expect("the server listens");
    let asked = Instant::now();
    assert!(serve.stop().await.success());
    assert!(asked.elapsed() < Duration::from_secs(30), "it took {:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_is_served_is_not_served_a_second_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = Serve::start(Launch::new(folder.path())).await;
    let data = serve.data();
    let data = data.to_str().expect("a plain path");
    let second = quire(["serve", "--listen", "127.0.0.1:0", "--data", data]).await;
    let complaint = second.complaint();
    assert!(complaint.contains("another") && complaint.contains(data), "{complaint}");
    assert_eq!(serve.api().get("/healthz").await.status, 200, "the first is not disturbed");
}
