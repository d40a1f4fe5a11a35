//! The four calls that existing clients make, through API Gateway.

use crate::{
    contract::{answered, is_as_agreed},
    harness::Upload,
};

use super::stack::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_nothing_but_requests_is_served() {
    let stack = Stack::shared().await;
    let answered = answered(stack.api().base).await;
    is_as_agreed(&answered, stack.public_url());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_too_large_for_the_api_is_told_of_the_way_for_large_ones() {
    let stack = Stack::shared().await;
    let answer = stack.api().ocr(Upload::new("large.pdf", vec![b'%'; (4 << 20) + 1])).await;
    let detail = answer.body["detail"].as_str().expect("a detail").to_owned();
    assert!(detail.contains("POST /uploads"), "{detail}");
    assert_eq!(answer.problem(413), "body_too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_the_api_does_not_have_is_not_found() {
    let answer = Stack::shared().await.api().get("/elsewhere").await;
    assert_eq!(answer.status, 404);
}
