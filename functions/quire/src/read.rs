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
use quire_platform::{engine_status, Backend};
use quire_document::{DocumentLimits, Documents};
use quire_native_libs::Progress;
use quire_worker::LocalEngine;
use quire_platform_embedded::Embedded;
use quire_routes::{Config, EngineEntry};
use quire_tasks::{EngineStatuses, Failure, FailureCode, PageStatus, SplitDocument, Task};
use quire_submit::{
    AppState, BatchSubmission, DocumentAnswer, Health, HealthReport, Inspector, SubmitSettings, UploadedFile,
};
use quire_worker::{Renderer, Settings, Worker};
use tempfile::TempPath;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Machine, MakeEngine, cli, engine, home_dir, output, print};

/// How long one wait for news of the task takes at most: then it is looked whether there is a reason.
const LONG_POLL: Duration = Duration::from_secs(5);
/// How long workers may take to stop when there is nothing left to read.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Reads the files and prints them. Success only when every page of every file was read.
pub(crate) async fn read(args: cli::Read, make_engine: MakeEngine) -> anyhow::Result<ExitCode> {
    let (wanted, routes) = (args.wanted.checked()?, Arc::new(args.engine.routes.config()?));
    let (config, mut given) = (Arc::clone(&routes), args.engine.checked()?);
    let fetch = move || engine::fetch_natives(&config, &mut given, &Progress::Bar).map(|pdfium| (pdfium, given));
    let (pdfium, given) = tokio::task::spawn_blocking(fetch).await??;
    let temporary = args.data.is_none().then(|| tempfile::Builder::new().prefix("quire-").tempdir()).transpose()?;
    let dir = args.data.as_deref().or(temporary.as_ref().map(tempfile::TempDir::path)).context("there is a folder")?;
    let _at_work = home_dir::enter_as_worker(dir)?;
    let backend = Embedded::open(&std::path::absolute(dir)?, &format!("read-{}", std::process::id()))?.backend();
    let renderer = Renderer::start(move || Documents::new(Some(pdfium.clone()), DocumentLimits::default()))?;

    let inspector = Arc::new(SameProcess(renderer.clone()));
    let egress = quire_egress::Client::new(quire_egress::EgressPolicy::default())?;
    let settings = SubmitSettings::from_env()?;
    let app = AppState::new(backend.clone(), inspector, egress, settings, Arc::new(NoHealth), Arc::clone(&routes));
    let uploads = args.files.iter().map(|file| spool(&backend, file)).collect();
    let documents = match quire_submit::submit(&Arc::new(app), uploads, wanted).await? {
        BatchSubmission::Refused(documents) => documents,
        BatchSubmission::Accepted(task) => {
            let count = engine::workers(args.workers, given.device, &routes);
            let machine = Machine::shared(&given, count);
            let make = move |entry: &EngineEntry| make_engine(entry, machine);
            let shutdown = CancellationToken::new();
            let mut workers = start_workers(count, &backend, &renderer, &routes, make, &shutdown)?;
            let task = follow(&backend, &routes, task, &mut workers).await?;
            if args.data.is_some() {
                stop(workers, &shutdown).await;
            }
            quire_submit::document_answers(&backend, &task).await?
        }
    };
    match output::print(&documents, args.format) {
        // `quire read … | head`: whoever read it has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        printed => printed.context("the result could not be printed")?,
    }
    Ok(report(&documents))
}

/// A copy of the file in the backend's spool: submitting moves it into the store.
fn spool(backend: &Backend, file: &Path) -> UploadedFile {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let copy = || -> std::io::Result<TempPath> {
        let copy = tempfile::Builder::new().prefix("read-").tempfile_in(backend.objects.spool())?.into_temp_path();
        std::fs::copy(file, &copy)?;
        Ok(copy)
    };
    let unreadable =
        |error| Failure::new(FailureCode::UnreadableDocument, format!("The file cannot be read: {error}."));
    UploadedFile { name, file: copy().map_err(unreadable) }
}

type Workers = JoinSet<anyhow::Result<()>>;

fn start_workers(
    count: usize,
    backend: &Backend,
    renderer: &Renderer,
    routes: &Arc<Config>,
    make_engine: impl Fn(&EngineEntry) -> anyhow::Result<LocalEngine> + Copy + Send + Sync + 'static,
    shutdown: &CancellationToken,
) -> anyhow::Result<Workers> {
    let mut workers = JoinSet::new();
    let settings = Settings::from_env()?;
    for number in 1..=count {
        let name = format!("read-{}-{number}", std::process::id());
        let (backend, renderer, config) = (backend.clone(), renderer.clone(), Arc::clone(routes));
        let worker = Worker { backend, renderer, settings, config, name };
        let reading = worker.run(make_engine, || {}, shutdown.clone());
        workers.spawn(async move { reading.await.map(drop) });
    }
    workers.spawn(quire_dead_letter::run(backend.clone(), shutdown.clone()));
    Ok(workers)
}

/// Has the workers write down in a backend that is kept what they have counted. All that counts for the task is there already.
async fn stop(mut workers: Workers, shutdown: &CancellationToken) {
    shutdown.cancel();
    let ended = async { while workers.join_next().await.is_some() {} };
    // One that does not end is one that is forgotten.
    let _ = tokio::time::timeout(STOP_LIMIT, ended).await;
}

/// Waits for the task to end, and shows how far it is when somebody looks, and what it waits for.
async fn follow(backend: &Backend, routes: &Config, mut task: Task, workers: &mut Workers) -> anyhow::Result<Task> {
    let bar = if std::io::stderr().is_terminal() { progress_bar(&task)? } else { ProgressBar::hidden() };
    let mut told = None;
    while !task.status().ended() {
        bar.set_position(u64::from(task.counts.ended()));
        let seen = task.version;
        tokio::select! {
            changed = backend.tasks.wait_for_change(task.id, seen, LONG_POLL) => task = changed?,
            Some(ended) = workers.join_next() => {
                bar.finish_and_clear();
                ended??;
                bail!("a worker ended before the task did");
            }
        }
        if task.version == seen {
            let waits_for = routes.waiting_reason(&task.read_as, &engine_status::read(backend).await?, print::now());
            if let Some(reason) = waits_for.as_ref().filter(|_| waits_for != told) {
                bar.suspend(|| eprintln!("quire: waiting: {}", reason.detail));
            }
            told = waits_for;
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

/// Names on standard error what could not be read, with its reason, and what is to be known of what was.
fn report(documents: &[DocumentAnswer]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for document in documents {
        let file = document.file.as_deref().unwrap_or("document");
        for page in &document.pages {
            let number = page.page;
            if page.status != PageStatus::Succeeded {
                let reason = page.error.as_ref().map_or_else(|| "not read".to_owned(), ToString::to_string);
                eprintln!("quire: {file}, page {number}: {reason}");
                code = ExitCode::FAILURE;
            } else if let Some(remarks) = page.read.as_ref().and_then(output::remarks) {
                eprintln!("quire: {file}, page {number}: {remarks}");
            }
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
    async fn inspect(&self, file: &Path) -> Result<SplitDocument, Failure> {
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
