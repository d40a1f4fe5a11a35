//! Documents that are put into the bucket: of their own accord, and where `POST /uploads` said.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Delivery, Receiver, Sheet, pdf, png, squeezed, text_of};

use super::{
    emulator::{put, send, tell},
    stack::Stack,
};

fn texts(task: &Value) -> Vec<String> {
    let documents = task["documents"].as_array().expect("documents");
    documents.iter().map(|document| squeezed(text_of(document))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_in_the_inbox_becomes_one_task_for_each_of_its_versions_however_often_the_bucket_tells() {
    let stack = Stack::shared().await;
    let receiver = Receiver::start_on(stack.inbox_port).await;
    // As it is in a URL, and as it is in an event; `+` and what is not ASCII have a way of getting lost.
    let key = "inbox/scans/M%C3%A4rz%20a%2Bb.pdf";
    let told = "inbox/scans/M%C3%A4rz+a%2Bb.pdf";
    let mut versions = Vec::new();
    for text in ["The first version", "The second version"] {
        let version = put(stack, key, pdf(&[Sheet::new(text)])).await;
        tell(stack, told, &version).await;
        tell(stack, told, &version).await;
        versions.push(version);
        receiver.received(versions.len()).await;
    }
    tell(stack, told, &versions[0]).await;
    let mut read = Vec::new();
    let ids: BTreeSet<String> = receiver.deliveries().iter().map(Delivery::task_id).collect();
    for id in &ids {
        let task = stack.api().told(id, "delivered").await;
        assert_eq!(task["documents"][0]["file"], "März a+b.pdf", "{task:#}");
        read.extend(texts(&task));
    }
    read.sort();
    assert_eq!(read, ["Thefirstversion", "Thesecondversion"]);
    assert_eq!(receiver.deliveries().len(), 2, "each was told of once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_put_where_the_api_says_and_nothing_else_can_be() {
    let stack = Stack::shared().await;
    let receiver = Receiver::start().await;
    let document = png(&Sheet::new("Larger than life"));
    let announced = json!({
        "filename": "life.png",
        "content_type": "image/png",
        "bytes": document.len(),
        "callback_url": receiver.url(),
    });
    let answer = stack.api().post_json("/uploads", &announced).await;
    let location = answer.header("location").map(str::to_owned);
    let answer = answer.body(201);
    let id = answer["task_id"].as_str().expect("a task id").to_owned();
    assert_eq!(answer["status_url"].as_str(), location.as_deref());
    assert_eq!(stack.api().task(&id).await["status"], "queued", "it is there before the document is");

    let upload = &answer["upload"];
    let (method, url) = (upload["method"].as_str().expect("a method"), upload["url"].as_str().expect("a URL"));
    let headers = upload["headers"].as_object().expect("headers");
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str().expect("a text"))).collect();
    let other_type: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, if name.eq_ignore_ascii_case("content-type") { "text/html" } else { *value }))
        .collect();
    assert_ne!(headers, other_type, "the type is signed");
    assert_eq!(send(method, url, &other_type, document.clone()).await.status(), 403, "another type");
    let without_length: Vec<_> =
        headers.iter().copied().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length")).collect();
    let longer = [&document[..], b"and more"].concat();
    assert_eq!(send(method, url, &without_length, longer).await.status(), 403, "another length");
    assert_eq!(send(method, url, &headers, document).await.status(), 200);

    let task = stack.api().told(&id, "delivered").await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    assert_eq!(texts(&task), ["Largerthanlife"]);
    assert_eq!(receiver.deliveries().len(), 1);
}
