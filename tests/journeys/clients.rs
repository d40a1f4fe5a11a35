//! Clients that behave as clients do.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{Launch, PATIENCE, Serve, Sheet, Upload, eventually, files_below, png, squeezed, text_of};

/// The bytes of `POST /ocr` with this file.
fn request(host: &str, file: &[u8]) -> Vec<u8> {
    let boundary = "leaf";
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\
         Content-Type: image/png\r\n\r\n"
    )
    .into_bytes();
    body.extend(file);
    body.extend(format!("\r\n--{boundary}--\r\n").bytes());
    let head = format!(
        "POST /ocr HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: multipart/form-data; boundary={boundary}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

async fn connect(serve: &Serve) -> (TcpStream, String) {
    let base = serve.api().base;
    let host = base.strip_prefix("http://").expect("plain HTTP").to_owned();
    (TcpStream::connect(&host).await.expect("a connection"), host)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_is_answered_and_holds_nobody_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = Serve::start(Launch::new(folder.path())).await;
    let (mut socket, host) = connect(&serve).await;
    let bytes = request(&host, &png(&Sheet::new("Slowly")));
    let slow = tokio::spawn(async move {
        for piece in bytes.chunks(bytes.len().div_ceil(40)) {
            socket.write_all(piece).await.expect("the server listens");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, socket.read_to_string(&mut answer)).await.expect("in time").expect("an answer");
        answer
    });
    let mut served = 0;
    while !slow.is_finished() {
        let body = serve.api().ocr(Upload::new("b.png", png(&Sheet::new("Quickly")))).await.body(200);
        assert_eq!(squeezed(text_of(&body)), "Quickly");
        served += 1;
    }
    assert!(served > 1, "others are served meanwhile");
    let answer = slow.await.expect("the client does its work");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Slowly"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_task_of_a_client_that_went_away_still_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = Serve::start(Launch::new(folder.path())).await;
    let (mut socket, host) = connect(&serve).await;
    socket.write_all(&request(&host, &png(&Sheet::new("Abandoned")))).await.expect("the server listens");
    let id = eventually("the task is accepted", || async {
        let documents = files_below(&serve.objects().join("documents"));
        documents.first().and_then(|key| key.split('/').next()).map(str::to_owned)
    })
    .await;
    drop(socket);
    // The document is stored a moment before the task is in the table.
    eventually("the task is in the table", || async {
        (serve.api().get(&format!("/task/{id}")).await.status == 200).then_some(())
    })
    .await;
    let task = serve.api().ended(&id).await;
    assert_eq!(task["status"], "succeeded");
    assert_eq!(squeezed(text_of(&task["documents"][0])), "Abandoned");
    let body = serve.api().ocr(Upload::new("b.png", png(&Sheet::new("Next please")))).await.body(200);
    assert_eq!(squeezed(text_of(&body)), "Nextplease");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = Serve::start(Launch::new(folder.path())).await;
    let (mut socket, host) = connect(&serve).await;
    let bytes = request(&host, &png(&Sheet::new("Half")));
    socket.write_all(&bytes[..bytes.len() / 2]).await.expect("the server listens");
    let spool = serve.data().join("spool");
    eventually("the upload begins", || async { (!files_below(&spool).is_empty()).then_some(()) }).await;
    drop(socket);
    eventually("the spool is empty", || async { files_below(&spool).is_empty().then_some(()) }).await;
    assert_eq!(files_below(&serve.objects()), [""; 0]);
}
