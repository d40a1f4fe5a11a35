//! `quire read`: a page's whole journey in one process.

use std::{
    io::{ErrorKind, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use async_trait::async_trait;
use indicatif::{ProgressBar, ProgressStyle};
use quire_document::{Documents, Limits};
use quire_natives::Progress;
use quire_platform::{Embedded, Home};
use quire_submit::{Batch, DocumentAnswer, Door, DoorSettings, Health, HealthReport, Inspector, Upload};
use quire_tasks::{Failure, FailureCode, PageStatus, Split, Task};
use quire_worker::{Renderer, Settings, Worker};
use tempfile::TempPath;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{MakeEngine, cli, home_dir, output};

/// How long one wait for news of the task takes at most.
const LONG_POLL: Duration = Duration::from_secs(20);

/// Reads the files and prints them. Success only when every page of every file was read.
pub(crate) async fn read(args: cli::Read, make_engine: MakeEngine) -> anyhow::Result<ExitCode> {
    let natives = tokio::task::spawn_blocking(|| quire_natives::locate(&Progress::Bar)).await??;
    let temporary = args.data.is_none().then(|| tempfile::Builder::new().prefix("quire-").tempdir()).transpose()?;
    let dir = args.data.as_deref().or(temporary.as_ref().map(tempfile::TempDir::path)).context("there is a folder")?;
    let _at_work = home_dir::enter_as_worker(dir)?;
    let home = Embedded::open(&std::path::absolute(dir)?, &format!("read-{}", std::process::id()))?.home();
    let renderer = Renderer::start(move || Documents::new(Some(natives.pdfium), Limits::default()))?;

    let inspector = Arc::new(SameProcess(renderer.clone()));
    let egress = quire_egress::Client::new(quire_egress::Policy::default())?;
    let door = Door::new(home.clone(), inspector, egress, DoorSettings::from_env()?, Arc::new(NoHealth));
    let uploads = args.files.iter().map(|file| spool(&home, file)).collect();
    let documents = match quire_submit::submit(&Arc::new(door), uploads).await? {
        Batch::Refused(documents) => documents,
        Batch::Accepted(task) => {
            let workers = start_workers(args.engine, args.workers, &home, &renderer, make_engine)?;
            let task = follow(&home, task, workers).await?;
            quire_submit::documents(&home, &task).await?
        }
    };
    match output::print(&documents, args.format) {
        // `quire read … | head`: whoever read it has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        printed => printed.context("the result could not be printed")?,
    }
    Ok(report(&documents))
}

/// A copy of the file in the home's spool: submitting moves it into the store.
fn spool(home: &Home, file: &Path) -> Upload {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let copy = || -> std::io::Result<TempPath> {
        let copy = tempfile::Builder::new().prefix("read-").tempfile_in(home.objects.spool())?.into_temp_path();
        std::fs::copy(file, &copy)?;
        Ok(copy)
    };
    let unreadable =
        |error| Failure::new(FailureCode::UnreadableDocument, format!("The file cannot be read: {error}."));
    Upload { name, file: copy().map_err(unreadable) }
}

type Workers = JoinSet<anyhow::Result<()>>;

fn start_workers(
    engine: cli::Engine,
    count: Option<u16>,
    home: &Home,
    renderer: &Renderer,
    make_engine: MakeEngine,
) -> anyhow::Result<Workers> {
    let mut workers = JoinSet::new();
    let (settings, device) = (Settings::from_env()?, engine.device);
    for _ in 0..engine.workers(count) {
        let worker = Worker { home: home.clone(), renderer: renderer.clone(), settings };
        let reading = worker.run(move || make_engine(device), || {}, CancellationToken::new());
        workers.spawn(async move { reading.await.map(drop) });
    }
    workers.spawn(quire_dead_letter::run(home.clone(), CancellationToken::new()));
    Ok(workers)
}

/// Waits for the task to end, and shows how far it is when somebody looks.
async fn follow(home: &Home, mut task: Task, mut workers: Workers) -> anyhow::Result<Task> {
    let bar = if std::io::stderr().is_terminal() { progress_bar(&task)? } else { ProgressBar::hidden() };
    while !task.status().ended() {
        bar.set_position(u64::from(task.counts.ended()));
        tokio::select! {
            changed = home.tasks.changed(task.id, task.version, LONG_POLL) => task = changed?,
            Some(ended) = workers.join_next() => {
                bar.finish_and_clear();
                ended??;
                bail!("a worker ended before the task did");
            }
        }
    }
    bar.finish_and_clear();
    Ok(task)
}

fn progress_bar(task: &Task) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} pages  {elapsed_precise}")?;
    let bar = ProgressBar::new(u64::from(task.counts.total())).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(bar)
}

/// Names what could not be read, with its reason, on standard error.
fn report(documents: &[DocumentAnswer]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for document in documents {
        let file = document.file.as_deref().unwrap_or("document");
        let failed_pages = document.pages.iter().filter(|page| page.status != PageStatus::Succeeded);
        for page in failed_pages {
            let reason = page.error.as_ref().map_or_else(|| "not read".to_owned(), ToString::to_string);
            eprintln!("quire: {file}, page {}: {reason}", page.page);
            code = ExitCode::FAILURE;
        }
        if let (Some(error), true) = (&document.error, document.pages.is_empty()) {
            eprintln!("quire: {file}: {error}");
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// In one process everything is: a document that crashes it takes its own reading down only.
#[derive(Debug)]
struct SameProcess(Renderer);

#[async_trait]
impl Inspector for SameProcess {
    async fn inspect(&self, file: &Path) -> Result<Split, Failure> {
        self.0.inspect(PathBuf::from(file)).await
    }
}

/// Nobody asks.
#[derive(Debug)]
struct NoHealth;

#[async_trait]
impl Health for NoHealth {
    async fn health(&self) -> HealthReport {
        HealthReport { ok: true, details: serde_json::Map::new() }
    }
}
