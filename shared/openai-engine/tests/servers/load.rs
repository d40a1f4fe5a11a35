//! Many pages at once.

use std::time::Duration;

use futures_util::future::join_all;
use quire_openai_engine::{Remote, RemoteError, RemoteSettings};
use quire_tasks::Mode;

use crate::{
    page, settings,
    stand_in::{JSON, Reply, StandIn},
};

#[tokio::test]
async fn the_servers_batch_is_full_and_no_fuller() {
    let server = StandIn::always(Reply::stream(&["a"]).together(4)).await;
    let client = Remote::new(RemoteSettings { concurrency: 4, ..settings(server.address) }).expect("a client");
    let (page, mode) = (page(), Mode::Text);
    let pages = join_all((0..12).map(|_| client.read(&page, &mode))).await;
    assert!(pages.iter().all(Result::is_ok), "{pages:?}");
    assert_eq!((server.most_open(), client.concurrency()), (4, 4));
}

#[tokio::test]
async fn a_broken_server_is_not_beaten() {
    let server = StandIn::always(Reply::new(500, JSON, "{}")).await;
    // Time for one more try each.
    let time_limit = Duration::from_millis(1_100);
    let settings = RemoteSettings { concurrency: 60, time_limit, ..settings(server.address) };
    let client = Remote::new(settings).expect("a client");
    let (page, mode) = (page(), Mode::Text);
    let pages = join_all((0..60).map(|_| client.read(&page, &mode))).await;
    assert!(pages.iter().all(|page| matches!(page, Err(RemoteError::Unavailable { .. }))), "{pages:?}");
    let retries = server.asked().len() - 60;
    assert!((1..=10 + 60 / 5).contains(&retries), "{retries} retries of 60 pages");
}
