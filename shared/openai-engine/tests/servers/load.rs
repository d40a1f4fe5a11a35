//! Concurrent pages.

use std::time::Duration;

use futures_util::future::join_all;
use quire_openai_engine::{OpenAiEngine, OpenAiEngineError, OpenAiEngineSettings};
use quire_tasks::Mode;

use crate::{
    fake_server::{FakeServer, JSON, Reply},
    page, settings,
};

#[tokio::test]
async fn as_many_pages_as_configured_are_read_at_once() {
    let server = FakeServer::always(Reply::stream(&["a"]).together(4)).await;
    let client =
        OpenAiEngine::new(OpenAiEngineSettings { concurrency: 4, ..settings(server.address) }).expect("valid settings");
    let (page, mode) = (page(), Mode::Text);
    let pages = join_all((0..12).map(|_| client.read(&page, &mode))).await;
    assert!(pages.iter().all(Result::is_ok), "{pages:?}");
    assert_eq!((server.max_open(), client.concurrency()), (4, 4));
}

#[tokio::test]
async fn retries_do_not_overload_a_failing_server() {
    let server = FakeServer::always(Reply::new(500, JSON, "{}")).await;
    // Time for one retry each.
    let timeout = Duration::from_millis(1_100);
    let settings = OpenAiEngineSettings { concurrency: 60, timeout, ..settings(server.address) };
    let client = OpenAiEngine::new(settings).expect("valid settings");
    let (page, mode) = (page(), Mode::Text);
    let pages = join_all((0..60).map(|_| client.read(&page, &mode))).await;
    assert!(pages.iter().all(|page| matches!(page, Err(OpenAiEngineError::Unavailable { .. }))), "{pages:?}");
    let retries = server.requests().len() - 60;
    assert!((1..=10 + 60 / 5).contains(&retries), "{retries} retries of 60 pages");
}
