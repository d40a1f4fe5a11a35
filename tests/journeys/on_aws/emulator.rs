//! The emulator's own doors, for what no client of Quire does: it asks for no signatures.

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use super::stack::Stack;

/// One request, which must be answered.
pub(super) async fn send(method: &str, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Response {
    let client = Client::builder().no_proxy().build().expect("a client");
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let request =
        headers.iter().fold(client.request(method, url), |request, (name, value)| request.header(*name, *value));
    request.body(body).send().await.expect("an answer")
}

/// Puts an object into the bucket, as somebody with the right to; its version.
pub(super) async fn put(stack: &Stack, key: &str, body: Vec<u8>) -> String {
    let url = format!("{}/{}/{key}", stack.variable("AWS_ENDPOINT_URL"), stack.variable("QUIRE_AWS_BUCKET"));
    let answer = send("PUT", &url, &[], body).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer.headers()["x-amz-version-id"].to_str().expect("ASCII").to_owned()
}

/// Tells the upload trigger of an object, as the bucket does.
pub(super) async fn tell(stack: &Stack, key: &str, version: &str) {
    let bucket = stack.variable("QUIRE_AWS_BUCKET");
    let object = json!({ "key": key, "size": 1, "eTag": "0", "versionId": version, "sequencer": "1" });
    let event = json!({ "Records": [{ "eventName": "ObjectCreated:Put", "s3": { "bucket": { "name": bucket }, "object": object } }] });
    let function = format!("{}-submit-upload", stack.variable("QUIRE_AWS_QUEUE_PREFIX"));
    let endpoint = stack.variable("AWS_ENDPOINT_URL");
    let url = format!("{endpoint}/2015-03-31/functions/{function}/invocations");
    let answer = send("POST", &url, &[("content-type", "application/json")], event.to_string().into_bytes()).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert!(!answer.headers().contains_key("x-amz-function-error"), "{answer:?}");
}

/// How many pages are in the hands of workers.
pub(super) async fn pages_in_hand(stack: &Stack) -> u64 {
    let endpoint = stack.variable("AWS_ENDPOINT_URL");
    let queue = format!("{endpoint}/000000000000/{}-pages", stack.variable("QUIRE_AWS_QUEUE_PREFIX"));
    let ask = json!({ "QueueUrl": queue, "AttributeNames": ["ApproximateNumberOfMessagesNotVisible"] }).to_string();
    let headers = [("x-amz-target", "AmazonSQS.GetQueueAttributes"), ("content-type", "application/x-amz-json-1.0")];
    let answer: Value = send("POST", endpoint, &headers, ask.into_bytes()).await.json().await.expect("JSON");
    let count = answer["Attributes"]["ApproximateNumberOfMessagesNotVisible"].as_str();
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no count in {answer}"))
}
