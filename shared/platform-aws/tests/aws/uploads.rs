//! Presigned uploads, and versions of uploaded objects.

use std::{fs, time::Duration};

use quire_platform::{Backend, Download, UploadUrl};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::open;

const KEY: &str = "inbox/task_7/1";
const BODY: &str = "%PDF-1.7";

async fn address(backend: &Backend, valid_for: Duration) -> UploadUrl {
    let made =
        backend.objects.upload_url(KEY, "application/pdf", BODY.len() as u64, valid_for).await.expect("an address");
    made.expect("this backend takes uploads")
}

/// Returns the HTTP status of a raw `PUT` request without the headers that clients add.
async fn put(url: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let rest = url.strip_prefix("http://").expect("the emulator's address");
    let (host, path) = rest.split_once('/').expect("a path");
    let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = headers.concat();
    let request = format!("PUT /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n{body}");
    let mut stream = TcpStream::connect(host).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

#[tokio::test]
async fn an_upload_url_accepts_its_upload() {
    let (backend, ()) = open().await;
    assert!(backend.objects.supports_uploads());
    let UploadUrl { url, headers } = address(&backend, Duration::from_mins(15)).await;
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert!(headers.contains(&("content-type", "application/pdf")) && headers.contains(&("content-length", "8")));
    assert_eq!(put(&url, &headers, BODY).await, 200);
    assert_eq!(backend.objects.read(KEY).await.expect("uploaded"), BODY);
}

#[tokio::test]
async fn an_upload_url_accepts_nothing_else() {
    let (backend, ()) = open().await;
    let UploadUrl { url, .. } = address(&backend, Duration::from_mins(15)).await;
    let signed = url.split('&').find_map(|part| part.strip_prefix("X-Amz-SignedHeaders=")).expect("signed headers");
    assert_eq!(signed, "content-length%3Bcontent-type%3Bhost");
    let right = [("content-type", "application/pdf"), ("content-length", "8")];
    assert_eq!(put(&url, &[("content-type", "image/png"), right[1]], BODY).await, 403, "another type");
    assert_eq!(put(&url, &[right[0], ("content-length", "9")], "%PDF-1.70").await, 403, "another length");
    assert_eq!(put(&url.replace("inbox/task_7/1", "inbox/task_8/1"), &right, BODY).await, 403, "another key");
    assert!(backend.objects.list("inbox/").await.expect("list").is_empty());
}

#[tokio::test]
async fn an_upload_url_expires() {
    let (backend, ()) = open().await;
    let UploadUrl { url, headers } = address(&backend, Duration::from_secs(1)).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(put(&url, &headers, BODY).await, 403);
}

#[tokio::test]
async fn an_upload_url_is_not_printed() {
    let (backend, ()) = open().await;
    let shown = format!("{:?}", address(&backend, Duration::from_mins(1)).await);
    assert!(shown.contains("content-type") && !shown.contains("Signature"), "{shown}");
}

#[tokio::test]
async fn an_unknown_version_is_not_found() {
    let (backend, ()) = open().await;
    backend.objects.put(KEY, BODY.into()).await.expect("put");
    let file = backend.objects.spool().join("copy");
    let unknown = backend.objects.download(KEY, Some("3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY"), 100, &file).await;
    assert!(unknown.is_err(), "{unknown:?}");
    let newest = backend.objects.download(KEY, None, 100, &file).await.expect("downloaded");
    assert_eq!(newest, Download::Whole { bytes: BODY.len() as u64 });
    assert_eq!(fs::read_to_string(&file).expect("the copy"), BODY);
}
