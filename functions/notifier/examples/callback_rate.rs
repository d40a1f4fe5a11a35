//! Benchmark: callbacks per second to receivers on this machine. Usage: `callback_rate [CALLBACKS] [RECEIVERS]`.
//!
//! Each callback is for a task of one page in a temporary embedded backend. It is read, signed, posted over a new
//! connection, logged, recorded and acknowledged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use axum::{Router, routing::post};
use futures_util::{StreamExt, TryStreamExt, stream};
use quire_callback::Schedule;
use quire_egress::{Client, EgressPolicy};
use quire_notifier::Notifier;
use quire_platform::{Backend, enqueue_callback, now};
use quire_platform_embedded::Embedded;
use quire_tasks::{
    CallbackState, Document, DocumentFormat, DocumentState, EngineName, Line, ObjectKey, Outcome, PageText,
    SplitDocument, Task, TaskId, Tenant,
};
use quire_tenants::Signing;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Tasks that are created concurrently.
const CREATE_CONCURRENCY: usize = 16;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let callbacks = arguments.next().transpose()?.unwrap_or(2000);
    let receivers = arguments.next().transpose()?.unwrap_or(1);
    let folder = tempfile::tempdir()?;
    let backend = Embedded::open(folder.path(), "rate")?.backend();
    let heard = Arc::new(AtomicUsize::new(0));
    let mut urls = Vec::new();
    for _ in 0..receivers {
        urls.push(start_receiver(Arc::clone(&heard)).await?);
    }
    let made = stream::iter((0..callbacks).map(|index| create_ended_task(&backend, urls[index % receivers].clone())));
    let ids: Vec<TaskId> = made.buffer_unordered(CREATE_CONCURRENCY).try_collect().await?;

    let took = deliver_all(&backend, &heard, callbacks).await?;
    let mut delivered = 0;
    for id in ids {
        delivered += usize::from(backend.tasks.task(id).await?.callback_state() == CallbackState::Delivered);
    }
    let rate = callbacks as f64 / took.as_secs_f64();
    eprintln!(
        "{callbacks} callbacks to {receivers} receivers in {took:.1?}: {rate:.0} per second; {delivered} delivered"
    );
    Ok(())
}

/// Returns how long it takes until all callbacks are received.
async fn deliver_all(backend: &Backend, heard: &AtomicUsize, callbacks: usize) -> anyhow::Result<Duration> {
    let egress = Client::new(EgressPolicy { allow_loopback_http: true })?;
    let notifier = Notifier::new(backend.clone(), egress, Signing::new(backend, None).await?, Schedule::default());
    let shutdown = CancellationToken::new();
    let began = Instant::now();
    let running = tokio::spawn(notifier.run(shutdown.clone()));
    while heard.load(Ordering::Relaxed) < callbacks {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed();
    shutdown.cancel();
    running.await??;
    Ok(took)
}

/// Starts a receiver that accepts all callbacks, and returns its URL.
async fn start_receiver(heard: Arc<AtomicUsize>) -> anyhow::Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}/hook", listener.local_addr()?);
    let count = move || {
        heard.fetch_add(1, Ordering::Relaxed);
        std::future::ready(())
    };
    let router = Router::new().route("/hook", post(count));
    // It runs until the process ends.
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

/// Creates an ended task of one page and enqueues its callback.
async fn create_ended_task(backend: &Backend, url: String) -> anyhow::Result<TaskId> {
    let id = TaskId::new(Uuid::now_v7());
    let document =
        Document::new(1, None, DocumentState::Split(SplitDocument { format: DocumentFormat::Png, pages: 1 }));
    let task = Task::new(id, Tenant::default(), now(), vec![document], Some(url));
    let page = task.pages().next().context("the task has no page")?;
    backend.tasks.create(task).await?;
    let text = "a line of text as printed on an invoice".to_owned();
    let line = Line { text, confidence: Some(0.75), polygon: None, ..Line::default() };
    let engine = EngineName { name: "rate".to_owned(), version: "1".to_owned() };
    let text = PageText::from_lines(engine, 1000, 1400, 0, vec![line; 40]);
    backend.objects.put(&ObjectKey::PageText { page, round: 1 }.to_string(), serde_json::to_vec(&text)?.into()).await?;
    let completion = backend.tasks.complete_page(page, 1, Outcome::succeeded(Some(0.75))).await?;
    enqueue_callback(backend, completion.task()).await?;
    Ok(id)
}
