//! The four calls that existing clients make, through API Gateway.

use std::path::Path;

use crate::{
    contract::{answered, is_as_agreed},
    harness::{Api, QUIRE, Sheet, Upload, eventually, free_port, png, squeezed, text_of},
};

use super::{stack::Stack, worker::Worker};

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

#[tokio::test(flavor = "multi_thread")]
async fn the_command_serves_a_stack_by_its_environment_alone() {
    // Not the shared one: a server that stops has received what others then wait for.
    let stack = Stack::apart("served").await;
    let listen = format!("127.0.0.1:{}", free_port());
    let mut serve = Worker::serve(&stack, Path::new(QUIRE), &listen);
    let api = Api::new(format!("http://{listen}"));
    eventually("its worker is ready", || async {
        api.try_get("/healthz").await.ok().filter(|answer| answer.status == 200)
    })
    .await;
    let body = api.ocr(Upload::new("card.png", png(&Sheet::new("Served from here")))).await.body(200);
    assert_eq!(squeezed(text_of(&body)), "Servedfromhere");
    let id = body["task_id"].as_str().expect("a task id");
    assert_eq!(stack.api().task(id).await["status"], "succeeded", "the functions know it too");
    assert!(serve.stop().await.success(), "{}", serve.log());
}
