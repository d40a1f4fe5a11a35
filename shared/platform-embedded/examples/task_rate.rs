//! Benchmark: tasks per second that the embedded backend creates and reads. Each task is created, its document message
//! is sent, and it is marked as dispatched; every commit is durable.
//!
//! `cargo run --release -p quire-platform-embedded --example task_rate [FOLDER]`
#![expect(clippy::print_stdout, reason = "its result")]

use std::{
    env,
    error::Error,
    path::PathBuf,
    time::{Duration, Instant},
};

use quire_platform::{Backend, QueueName, now, send};
use quire_platform_embedded::Embedded;
use quire_tasks::{Document, DocumentJob, DocumentMessage, DocumentSource, DocumentState, Task, TaskId, Tenant};
use tokio::task::JoinSet;
use uuid::Uuid;

const LASTS: Duration = Duration::from_secs(5);
/// Tasks that exist before the measurement.
const BACKLOG: usize = 20_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os().nth(1).map_or_else(env::temp_dir, PathBuf::from);
    let dir = tempfile::tempdir_in(&folder)?;
    let backend = Embedded::open(dir.path(), "rate")?.backend();
    for _ in 0..BACKLOG / 100 {
        let mut creating: JoinSet<_> = (0..100).map(|_| accept(backend.clone())).collect();
        while let Some(created) = creating.join_next().await {
            created??;
        }
    }
    let known = accept(backend.clone()).await?;
    for callers in [1, 8, 64] {
        let accepted = measure(callers, || accept(backend.clone())).await?;
        let shown = measure(callers, || read(backend.clone(), known)).await?;
        println!("{callers:>3} callers: {accepted:>6.0} tasks/s taken in, {shown:>6.0} tasks/s read");
        let (accepted, shown) = tokio::join!(
            measure(callers, || accept(backend.clone())),
            measure(callers, || read(backend.clone(), known))
        );
        println!(
            "{callers:>3} callers: {:>6.0} tasks/s taken in, {:>6.0} tasks/s read at the same time",
            accepted?, shown?
        );
    }
    Ok(())
}

async fn measure<F, T>(callers: usize, call: impl Fn() -> F) -> Result<f64, Box<dyn Error>>
where
    F: Future<Output = quire_platform::Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let started = Instant::now();
    let mut done = 0;
    let mut calling: JoinSet<_> = (0..callers).map(|_| call()).collect();
    while let Some(answered) = calling.join_next().await {
        answered??;
        done += 1;
        if started.elapsed() < LASTS {
            calling.spawn(call());
        }
    }
    Ok(f64::from(done) / started.elapsed().as_secs_f64())
}

async fn accept(backend: Backend) -> quire_platform::Result<TaskId> {
    let state = DocumentState::Pending { source: DocumentSource::Url { url: "https://example.com/a.pdf".to_owned() } };
    let documents = vec![Document::new(1, None, state)];
    let task = Task::new(TaskId::new(Uuid::now_v7()), Tenant::default(), now(), documents, None);
    backend.tasks.create(task.clone()).await?;
    let message = DocumentMessage { task_id: task.id, document: 1, round: 1, job: DocumentJob::Split };
    send(backend.queue(QueueName::Documents).as_ref(), &task, [message]).await?;
    backend.tasks.mark_dispatched(task.id).await?;
    Ok(task.id)
}

async fn read(backend: Backend, id: TaskId) -> quire_platform::Result<Task> {
    backend.tasks.pages(id).await?;
    backend.tasks.task(id).await
}
