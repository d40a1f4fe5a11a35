//! Documents that clients put into the bucket: under the inbox prefix, and at a URL from `POST /uploads`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{CallbackReceiver, ReceivedCallback, TestPage, pdf, png, text_of, without_whitespace};

use super::{
    emulator::{invoke_upload_trigger, put_object, send},
    stack::EmulatedStack,
};

fn texts(task: &Value) -> Vec<String> {
    let documents = task["documents"].as_array().expect("documents");
    documents.iter().map(|document| without_whitespace(text_of(document))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_object_version_becomes_one_task_even_with_duplicate_events() {
    let stack = EmulatedStack::shared().await;
    let receiver = CallbackReceiver::start_on(stack.upload_callback_port).await;
    // The same key, encoded as in a URL and as in an S3 event, where `+` is a space.
    let key = "inbox/scans/M%C3%A4rz%20a%2Bb.pdf";
    let event_key = "inbox/scans/M%C3%A4rz+a%2Bb.pdf";
    let mut versions = Vec::new();
    for text in ["The first version", "The second version"] {
        let version = put_object(stack, key, pdf(&[TestPage::new(text)])).await;
        invoke_upload_trigger(stack, event_key, &version).await;
        invoke_upload_trigger(stack, event_key, &version).await;
        versions.push(version);
        receiver.await_callbacks(versions.len()).await;
    }
    invoke_upload_trigger(stack, event_key, &versions[0]).await;
    let mut read = Vec::new();
    let ids: BTreeSet<String> = receiver.callbacks().iter().map(ReceivedCallback::task_id).collect();
    for id in &ids {
        let task = stack.api().await_callback(id, "delivered").await;
        assert_eq!(task["documents"][0]["file"], "März a+b.pdf", "{task:#}");
        read.extend(texts(&task));
    }
    read.sort();
    assert_eq!(read, ["Thefirstversion", "Thesecondversion"]);
    assert_eq!(receiver.callbacks().len(), 2, "one callback per version");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_presigned_upload_accepts_only_the_announced_document() {
    let stack = EmulatedStack::shared().await;
    let receiver = CallbackReceiver::start().await;
    let document = png(&TestPage::new("Larger than life"));
    let announcement = json!({
        "filename": "life.png",
        "content_type": "image/png",
        "bytes": document.len(),
        "callback_url": receiver.url(),
    });
    let answer = stack.api().post_json("/uploads", &announcement).await;
    let location = answer.header("location").map(str::to_owned);
    let answer = answer.expect_status(201);
    let id = answer["task_id"].as_str().expect("a task id").to_owned();
    assert_eq!(answer["status_url"].as_str(), location.as_deref());
    assert_eq!(stack.api().task(&id).await["status"], "queued", "the task exists before the document");

    let upload = &answer["upload"];
    let method = upload["method"].as_str().expect("a method");
    let url = upload["url"].as_str().expect("a URL");
    let headers = upload["headers"].as_object().expect("headers");
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str().expect("a text"))).collect();
    let other_type: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, if name.eq_ignore_ascii_case("content-type") { "text/html" } else { *value }))
        .collect();
    assert_ne!(headers, other_type, "the content type is signed");
    assert_eq!(send(method, url, &other_type, document.clone()).await.status(), 403, "another content type");
    let without_length: Vec<_> =
        headers.iter().copied().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length")).collect();
    let longer = [&document[..], b"and more"].concat();
    assert_eq!(send(method, url, &without_length, longer).await.status(), 403, "another length");
    assert_eq!(send(method, url, &headers, document).await.status(), 200);

    let task = stack.api().await_callback(&id, "delivered").await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    assert_eq!(texts(&task), ["Largerthanlife"]);
    assert_eq!(receiver.callbacks().len(), 1);
}
