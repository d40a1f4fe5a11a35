//! The four calls of the API contract through API Gateway, and its limits.

use std::path::Path;

use crate::{
    contract::{assert_contract, run_client},
    harness::{ApiClient, QUIRE, TestPage, UploadFile, eventually, free_port, png, text_of, without_whitespace},
};

use super::{stack::EmulatedStack, stack_worker::StackWorker};

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_http_client_is_served() {
    let stack = EmulatedStack::shared().await;
    let run = run_client(stack.api().base).await;
    assert_contract(&run, stack.public_url());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_too_large_for_the_api_points_to_uploads() {
    let stack = EmulatedStack::shared().await;
    let answer = stack.api().ocr(UploadFile::new("large.pdf", vec![b'%'; (4 << 20) + 1])).await;
    let detail = answer.body["detail"].as_str().expect("a detail").to_owned();
    assert!(detail.contains("POST /uploads"), "{detail}");
    assert_eq!(answer.problem_code(413), "body_too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_path_is_not_found() {
    let answer = EmulatedStack::shared().await.api().get("/elsewhere").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_finds_a_stack_by_its_environment_variables() {
    // A stack of its own: when this server stops, messages it has received stay invisible for a while.
    let stack = EmulatedStack::apart("served").await;
    let listen = format!("127.0.0.1:{}", free_port());
    let mut serve = StackWorker::serve(&stack, Path::new(QUIRE), &listen);
    let api = ApiClient::new(format!("http://{listen}"));
    eventually("its worker is ready", || async {
        api.try_get("/healthz").await.ok().filter(|answer| answer.status == 200)
    })
    .await;
    let body = api.ocr(UploadFile::new("card.png", png(&TestPage::new("Served from here")))).await.expect_status(200);
    assert_eq!(without_whitespace(text_of(&body)), "Servedfromhere");
    let id = body["task_id"].as_str().expect("a task id");
    assert_eq!(stack.api().task(id).await["status"], "succeeded", "the functions see the same task");
    assert!(serve.stop().await.success(), "{}", serve.log());
}
