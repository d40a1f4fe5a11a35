//! `quire read`: a page's whole journey in one process.

use std::{
    io::{ErrorKind, IsTerminal},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use async_trait::async_trait;
use indicatif::{ProgressBar, ProgressStyle};
use quire_document::DocumentLimits;
use quire_native_libs::Progress;
use quire_platform::{Backend, engine_status};
use quire_platform_embedded::Embedded;
use quire_routes::{Config, EngineEntry};
use quire_submit::{
    AppState, BatchSubmission, ChildInspector, DocumentAnswer, Health, HealthReport, SubmitSettings, UploadedFile,
};
use quire_tasks::{Failure, FailureCode, PageStatus, Task};
use quire_tenants::TenantLimits;
use quire_worker::{LocalEngine, Worker, WorkerSettings};
use tempfile::TempPath;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    EngineResources, MakeEngine,
    cli::{OutputFormat, ReadArgs},
    data_dir, engine, output, rows,
    sandbox::sandbox,
};

/// Timeout of one long poll for the task's progress. Without progress, the reason is looked up.
const LONG_POLL: Duration = Duration::from_secs(5);
/// Timeout for the workers to stop once everything is read.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of workers that are started: each of them may leave an engine behind that is stuck on a page.
const MAX_WORKERS: usize = 64;

/// Reads the files and prints the results. Returns success only if every page of every file was read.
pub(crate) async fn read(args: ReadArgs, make_engine: MakeEngine) -> anyhow::Result<ExitCode> {
    let mode = args.mode.validate()?;
    if args.layout && args.format != OutputFormat::Text {
        bail!("--layout requires --format text");
    }
    let routes = Arc::new(args.engine.routes.config()?);
    let config = Arc::clone(&routes);
    let mut engine_args = args.engine.validate()?;
    let fetch =
        move || engine::fetch_natives(&config, &mut engine_args, &Progress::Bar).map(|pdfium| (pdfium, engine_args));
    let (pdfium, engine_args) = tokio::task::spawn_blocking(fetch).await??;
    let temporary = args.data.is_none().then(|| tempfile::Builder::new().prefix("quire-").tempdir()).transpose()?;
    let dir = args.data.as_deref().or(temporary.as_ref().map(tempfile::TempDir::path)).context("there is a folder")?;
    let _lock = data_dir::lock_for_worker(dir)?;
    let backend = Embedded::open(&std::path::absolute(dir)?, &format!("read-{}", std::process::id()))?.backend();
    let sandbox = sandbox(pdfium, Some(dir))?;

    let inspector = Arc::new(ChildInspector::new(sandbox.clone(), DocumentLimits::default()));
    let egress = quire_egress::Client::new(quire_egress::EgressPolicy::default())?;
    // The files are this machine's own: the limits of tenants do not apply.
    let settings = SubmitSettings { default_limits: TenantLimits::default(), ..SubmitSettings::from_env()? };
    let app = AppState::new(backend.clone(), inspector, egress, settings, Arc::new(AlwaysHealthy), Arc::clone(&routes));
    let uploads = args.files.iter().map(|file| spool_file(&backend, file)).collect();
    let documents = match quire_submit::submit(&Arc::new(app), uploads, mode).await? {
        BatchSubmission::Refused(documents) => documents,
        BatchSubmission::Accepted(task) => {
            let count = engine::worker_count(args.workers, engine_args.device, &routes);
            let resources = EngineResources::share_of(&engine_args, count);
            let make_engine = move |entry: &EngineEntry| make_engine(entry, resources);
            let shutdown = CancellationToken::new();
            let settings = WorkerSettings::from_env()?;
            let config = Arc::clone(&routes);
            let worker = Worker { backend: backend.clone(), sandbox, settings, config, name: String::new() };
            let mut workers = WorkerPool::start(worker, make_engine, count, &shutdown);
            let task = wait_for_end(&backend, &routes, task, &mut workers).await?;
            if args.data.is_some() {
                workers.stop(&shutdown).await;
            }
            quire_submit::document_answers(&backend, &task.with_words(args.words)).await?
        }
    };
    match output::print(&documents, args.format, args.layout) {
        // `quire read … | head` closes the pipe early; that is not an error.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        printed => printed.context("cannot write to standard output")?,
    }
    Ok(print_problems(&documents))
}

/// Copies the file into the backend's spool folder: submitting moves the copy into the store.
fn spool_file(backend: &Backend, file: &Path) -> UploadedFile {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let copy = copy_to_spool(backend, file)
        .map_err(|error| Failure::new(FailureCode::UnreadableDocument, format!("The file cannot be read: {error}.")));
    UploadedFile { name, file: copy }
}

fn copy_to_spool(backend: &Backend, file: &Path) -> std::io::Result<TempPath> {
    let copy = tempfile::Builder::new().prefix("read-").tempfile_in(backend.objects.spool())?.into_temp_path();
    std::fs::copy(file, &copy)?;
    Ok(copy)
}

/// The workers of this process. One that ends early is replaced as long as pages are read: its engine is stuck on a
/// page, which has failed, and the others are still to be read.
struct WorkerPool<M> {
    template: Worker,
    make_engine: M,
    shutdown: CancellationToken,
    running: JoinSet<anyhow::Result<()>>,
    started: usize,
    /// The pages that had ended when the last worker was replaced.
    ended_pages: u32,
}

impl<M> WorkerPool<M>
where
    M: Fn(&EngineEntry) -> anyhow::Result<LocalEngine> + Copy + Send + Sync + 'static,
{
    /// Starts `count` workers like this one.
    fn start(template: Worker, make_engine: M, count: usize, shutdown: &CancellationToken) -> Self {
        let mut running = JoinSet::new();
        running.spawn(quire_dead_letter::run(template.backend.clone(), shutdown.clone()));
        let mut pool = Self { template, make_engine, shutdown: shutdown.clone(), running, started: 0, ended_pages: 0 };
        (0..count).for_each(|_| pool.start_worker());
        pool
    }

    fn start_worker(&mut self) {
        self.started += 1;
        let name = format!("read-{}-{}", std::process::id(), self.started);
        let worker = Worker { name, ..self.template.clone() };
        let reading = worker.run(self.make_engine, || {}, self.shutdown.clone());
        self.running.spawn(async move { reading.await.map(drop) });
    }

    /// Replaces a worker that has ended.
    ///
    /// # Errors
    /// When no page has ended since the last replacement: the next worker would end as well.
    fn replace(&mut self, ended: anyhow::Result<()>, task: &Task) -> anyhow::Result<()> {
        let pages = task.counts.ended();
        match ended {
            Err(error) if pages > self.ended_pages && self.started < MAX_WORKERS => {
                warn!(error = format!("{error:#}"), "a worker ended; starting another one");
                self.ended_pages = pages;
                self.start_worker();
                Ok(())
            }
            Err(error) => Err(error),
            Ok(()) => bail!("a worker ended before the task did"),
        }
    }

    /// Stops the workers, so that they report their statistics to a backend that is kept. The task itself is complete
    /// already.
    async fn stop(mut self, shutdown: &CancellationToken) {
        shutdown.cancel();
        let ended = async { while self.running.join_next().await.is_some() {} };
        // A worker that does not stop in time only loses its last report.
        let _ = tokio::time::timeout(STOP_TIMEOUT, ended).await;
    }
}

/// Waits for the task to end. Shows a progress bar on a terminal, and why the task waits. When no worker can read the
/// remaining pages, cancels them, so that the others are printed.
///
/// # Errors
/// When no page could be read, or the backend fails.
async fn wait_for_end<M>(
    backend: &Backend,
    routes: &Config,
    mut task: Task,
    workers: &mut WorkerPool<M>,
) -> anyhow::Result<Task>
where
    M: Fn(&EngineEntry) -> anyhow::Result<LocalEngine> + Copy + Send + Sync + 'static,
{
    let bar = if std::io::stderr().is_terminal() { progress_bar(&task)? } else { ProgressBar::hidden() };
    let mut shown_reason = None;
    while !task.status().ended() {
        bar.set_position(u64::from(task.counts.ended()));
        let seen_version = task.version;
        tokio::select! {
            changed = backend.tasks.wait_for_change(task.id, seen_version, LONG_POLL) => task = changed?,
            Some(ended) = workers.running.join_next() => {
                task = backend.tasks.task(task.id).await?;
                if let Err(error) = workers.replace(ended?, &task) {
                    bar.finish_and_clear();
                    if task.counts.succeeded == 0 {
                        return Err(error);
                    }
                    rows::report_error(&error);
                    return Ok(backend.tasks.cancel(task.id).await?.task().clone());
                }
                continue;
            }
        }
        if task.version == seen_version {
            let statuses = engine_status::read(backend).await?;
            let reason = routes.waiting_reason(&task.read_as, &statuses, quire_platform::now());
            if let Some(new_reason) = reason.as_ref().filter(|_| reason != shown_reason) {
                bar.suspend(|| rows::report(&format!("waiting: {}", new_reason.detail)));
            }
            shown_reason = reason;
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

/// Prints failed files and pages with their reason to standard error, and remarks about the others. Returns the exit
/// code.
fn print_problems(documents: &[DocumentAnswer]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for document in documents {
        let file = document.file.as_deref().unwrap_or("document");
        for page in &document.pages {
            let number = page.page;
            if page.status != PageStatus::Succeeded {
                let reason = page.error.as_ref().map_or_else(|| "not read".to_owned(), ToString::to_string);
                rows::report(&format!("{file}, page {number}: {reason}"));
                code = ExitCode::FAILURE;
            } else if let Some(remarks) = page.read.as_ref().and_then(output::format_remarks) {
                rows::report(&format!("{file}, page {number}: {remarks}"));
            }
        }
        if let (Some(error), true) = (&document.error, document.pages.is_empty()) {
            rows::report(&format!("{file}: {error}"));
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// A health check that is never called: `read` serves no HTTP.
#[derive(Debug)]
struct AlwaysHealthy;

#[async_trait]
impl Health for AlwaysHealthy {
    async fn health(&self) -> HealthReport {
        HealthReport { ok: true, details: serde_json::Map::new() }
    }
}
