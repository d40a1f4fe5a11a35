//! Calls of the emulator's AWS APIs that no client of Quire makes. The emulator does not verify signatures.

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use super::stack::EmulatedStack;

/// Sends a request. Panics without a response.
pub(super) async fn send(method: &str, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Response {
    let client = Client::builder().no_proxy().build().expect("the client can be built");
    let method = Method::from_bytes(method.as_bytes()).expect("the method is valid");
    let request =
        headers.iter().fold(client.request(method, url), |request, (name, value)| request.header(*name, *value));
    request.body(body).send().await.expect("a response")
}

/// Puts an object into the bucket and returns its version id.
pub(super) async fn put_object(stack: &EmulatedStack, key: &str, body: Vec<u8>) -> String {
    let url = format!("{}/{}/{key}", stack.variable("AWS_ENDPOINT_URL"), stack.variable("QUIRE_AWS_BUCKET"));
    let answer = send("PUT", &url, &[], body).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer.headers()["x-amz-version-id"].to_str().expect("ASCII").to_owned()
}

/// Invokes the upload trigger with an S3 event for an object version.
pub(super) async fn invoke_upload_trigger(stack: &EmulatedStack, key: &str, version: &str) {
    let bucket = stack.variable("QUIRE_AWS_BUCKET");
    let object = json!({ "key": key, "size": 1, "eTag": "0", "versionId": version, "sequencer": "1" });
    let s3 = json!({ "bucket": { "name": bucket }, "object": object });
    let event = json!({ "Records": [{ "eventName": "ObjectCreated:Put", "s3": s3 }] });
    let function = format!("{}-submit-upload", stack.variable("QUIRE_AWS_QUEUE_PREFIX"));
    let endpoint = stack.variable("AWS_ENDPOINT_URL");
    let url = format!("{endpoint}/2015-03-31/functions/{function}/invocations");
    let answer = send("POST", &url, &[("content-type", "application/json")], event.to_string().into_bytes()).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert!(!answer.headers().contains_key("x-amz-function-error"), "{answer:?}");
}

/// Returns the number of page messages in flight.
pub(super) async fn pages_in_flight(stack: &EmulatedStack) -> u64 {
    let endpoint = stack.variable("AWS_ENDPOINT_URL");
    let queue = format!("{endpoint}/000000000000/{}-pages", stack.variable("QUIRE_AWS_QUEUE_PREFIX"));
    let query = json!({ "QueueUrl": queue, "AttributeNames": ["ApproximateNumberOfMessagesNotVisible"] }).to_string();
    let headers = [("x-amz-target", "AmazonSQS.GetQueueAttributes"), ("content-type", "application/x-amz-json-1.0")];
    let answer: Value = send("POST", endpoint, &headers, query.into_bytes()).await.json().await.expect("JSON");
    let count = answer["Attributes"]["ApproximateNumberOfMessagesNotVisible"].as_str();
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no count in {answer}"))
}
