//! Benchmark: page messages per second through the embedded queue. They are sent, leased and acknowledged in batches of
//! ten by four concurrent tasks, and every commit is durable.
//!
//! `cargo run --release -p quire-platform-embedded --example queue_rate [FOLDER]`
#![expect(clippy::print_stdout, reason = "its result")]

use std::{
    env,
    error::Error,
    path::PathBuf,
    time::{Duration, Instant},
};

use quire_platform::{OutgoingMessage, QueueName};
use quire_platform_embedded::Embedded;
use quire_tasks::{Message, PageMessage, PageRef, ReadAs, TaskId};
use tokio::task::JoinSet;
use uuid::Uuid;

const CALLERS: usize = 4;
const AT_ONCE: usize = 10;
const LASTS: Duration = Duration::from_secs(5);
const BACKLOG: usize = 100_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os().nth(1).map_or_else(env::temp_dir, PathBuf::from);
    println!("{CALLERS} tasks, {AT_ONCE} messages a call, {} s each", LASTS.as_secs());
    for (backlog, groups) in [(0, 1), (BACKLOG, 1), (BACKLOG, 1_000)] {
        let dir = tempfile::tempdir_in(&folder)?;
        let embedded = Embedded::open(dir.path(), "rate")?;
        for from in (0..backlog).step_by(1_000) {
            embedded.backend().queue(QueueName::Pages).send(messages(from, 1_000, groups)).await?;
        }
        let rate = rate(&embedded, groups).await?;
        println!("with {backlog:>6} messages of {groups:>4} groups waiting: {rate:>6.0} messages/s");
    }
    Ok(())
}

async fn rate(embedded: &Embedded, groups: usize) -> Result<f64, Box<dyn Error>> {
    let started = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let queue = embedded.backend().queue(QueueName::Pages);
        callers.spawn(async move {
            let mut done = 0;
            while started.elapsed() < LASTS {
                queue.send(messages(caller * 7 + done, AT_ONCE, groups)).await?;
                let received = queue.receive(AT_ONCE, Duration::from_secs(1)).await?;
                done += received.len();
                queue.acknowledge(received.into_iter().map(|message| message.receipt).collect()).await?;
            }
            Ok::<usize, quire_platform::Error>(done)
        });
    }
    let done: usize = callers.join_all().await.into_iter().sum::<Result<usize, _>>()?;
    Ok(done as f64 / started.elapsed().as_secs_f64())
}

fn messages(from: usize, count: usize, groups: usize) -> Vec<OutgoingMessage> {
    let task_id = TaskId::new(Uuid::now_v7());
    let body = |page| {
        PageMessage {
            page: PageRef { task_id, document: 1, page: page as u32 },
            round: 1,
            read_as: ReadAs::default(),
            redact: None,
        }
        .encode()
    };
    let message = |n: usize| {
        let group = format!("tenant-{}", n % groups);
        OutgoingMessage { body: body(n), group, delay: Duration::ZERO, trace: None }
    };
    (from..from + count).map(message).collect()
}
