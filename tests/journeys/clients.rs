//! Slow clients, and clients that disconnect.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{
    ServeOptions, ServeProcess, TIMEOUT, TestPage, UploadFile, eventually, files_below, png, text_of,
    without_whitespace,
};

/// Returns the bytes of a `POST /ocr` request with this file.
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

async fn connect(serve: &ServeProcess) -> (TcpStream, String) {
    let base = serve.api().base;
    let host = base.strip_prefix("http://").expect("plain HTTP").to_owned();
    (TcpStream::connect(&host).await.expect("the server accepts connections"), host)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_gets_a_response_and_does_not_block_others() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = ServeProcess::start(ServeOptions::new(folder.path())).await;
    let (mut socket, host) = connect(&serve).await;
    let bytes = request(&host, &png(&TestPage::new("Slowly")));
    let slow = tokio::spawn(async move {
        for piece in bytes.chunks(bytes.len().div_ceil(40)) {
            socket.write_all(piece).await.expect("the server reads the request");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut response = String::new();
        tokio::time::timeout(TIMEOUT, socket.read_to_string(&mut response))
            .await
            .expect("no timeout")
            .expect("a response");
        response
    });
    let mut served = 0;
    while !slow.is_finished() {
        let body = serve.api().ocr(UploadFile::new("b.png", png(&TestPage::new("Quickly")))).await.expect_status(200);
        assert_eq!(without_whitespace(text_of(&body)), "Quickly");
        served += 1;
    }
    assert!(served > 1, "other clients are served concurrently");
    let response = slow.await.expect("the client does not panic");
    assert!(response.starts_with("HTTP/1.1 200") && response.contains("Slowly"), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_task_of_a_disconnected_client_still_ends() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = ServeProcess::start(ServeOptions::new(folder.path())).await;
    let (mut socket, host) = connect(&serve).await;
    socket.write_all(&request(&host, &png(&TestPage::new("Abandoned")))).await.expect("the server reads the request");
    let id = eventually("the task is accepted", || async {
        let documents = files_below(&serve.objects().join("documents"));
        documents.first().and_then(|key| key.split('/').next()).map(str::to_owned)
    })
    .await;
    drop(socket);
    // The document is stored before the task is written to the table.
    eventually("the task is in the table", || async {
        (serve.api().get(&format!("/task/{id}")).await.status == 200).then_some(())
    })
    .await;
    let task = serve.api().await_end(&id).await;
    assert_eq!(task["status"], "succeeded");
    assert_eq!(without_whitespace(text_of(&task["documents"][0])), "Abandoned");
    let body = serve.api().ocr(UploadFile::new("b.png", png(&TestPage::new("Next please")))).await.expect_status(200);
    assert_eq!(without_whitespace(text_of(&body)), "Nextplease");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_upload_leaves_no_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = ServeProcess::start(ServeOptions::new(folder.path())).await;
    let (mut socket, host) = connect(&serve).await;
    let bytes = request(&host, &png(&TestPage::new("Half")));
    socket.write_all(&bytes[..bytes.len() / 2]).await.expect("the server reads the request");
    let spool = serve.data().join("spool");
    eventually("the upload begins", || async { (!files_below(&spool).is_empty()).then_some(()) }).await;
    drop(socket);
    eventually("the spool is empty", || async { files_below(&spool).is_empty().then_some(()) }).await;
    assert_eq!(files_below(&serve.objects()), [""; 0]);
}
