//! `quire worker`: a single worker, e.g. in a container, or as a child process of `serve`.

use std::{
    io::{BufRead, Write},
    sync::Arc,
};

use anyhow::Context;
use quire_native_libs::Progress;
use quire_sandbox::SandboxLimits;
use quire_telemetry::stop_signal;
use quire_worker::{Worker, WorkerExit, WorkerSettings};
use tokio_util::sync::CancellationToken;
use tracing::info;
use uuid::Uuid;

use crate::{
    EngineResources, MakeEngine, cli::WorkerArgs, deployment::Deployment, heartbeat::Heartbeat, process, sandbox,
};

/// The line that the parent writes to a child's standard input for a graceful shutdown.
pub(crate) const DRAIN: &str = "drain";
/// The line that a child prints once its models are loaded.
pub(crate) const READY: &str = "ready";

/// Reads pages until it is stopped: by a signal, or by its parent if it is a child of `serve`.
pub(crate) async fn worker(args: WorkerArgs, make_engine: MakeEngine) -> anyhow::Result<()> {
    let shutdown = stop_signal()?;
    let is_child = args.holder.is_some();
    let holder = args.holder.unwrap_or_else(|| format!("worker-{}", Uuid::now_v7().simple()));
    let deployment = Deployment::open_for_worker(&args.deployment, &holder).await?;
    if is_child {
        watch_parent(shutdown.clone())?;
    }
    let settings = WorkerSettings::from_env()?;
    let config = Arc::new(args.engine.routes.config()?);
    let resources = EngineResources::share_of(&args.engine.validate()?, 1);
    let resources = EngineResources { threads: args.threads.unwrap_or(resources.threads), ..resources };
    // Before a model is loaded: an error that ends the process while one is being loaded would crash it.
    let heartbeat = Heartbeat::start().await?;
    let pdfium = tokio::task::spawn_blocking(|| quire_native_libs::pdfium(&Progress::Silent)).await??;
    if !is_child {
        process::warn_about_root();
    }
    let limits = SandboxLimits::from_env()?;
    let limits = SandboxLimits { page: limits.page.min(settings.page_timeout), ..limits };
    let sandbox = sandbox::with_limits(pdfium, deployment.data_dir(), limits)?;
    let worker = Worker { backend: deployment.backend(), sandbox, settings, config, name: holder };
    let ready = move || if is_child { print_ready() } else { info!("worker ready: reading pages") };
    let reading = worker.run(move |entry| make_engine(entry, resources), ready, shutdown);
    let exit = tokio::select! {
        exit = reading => exit?,
        never = heartbeat.run() => match never {},
    };
    if exit == WorkerExit::Interrupted {
        // Not `exit`: it would unload ONNX Runtime during a run.
        std::process::abort();
    }
    info!("worker stopped: no pages in flight");
    Ok(())
}

fn print_ready() {
    // If the parent is gone, the thread that watches it notices.
    let _ = writeln!(std::io::stdout(), "{READY}");
}

/// Watches the parent through standard input. When it closes, the parent is dead, and this process ends at once: the
/// next `serve` waits for it, and then reads its pages.
fn watch_parent(shutdown: CancellationToken) -> anyhow::Result<()> {
    let watch = move || {
        for line in std::io::stdin().lock().lines() {
            match line {
                Ok(line) if line == DRAIN => shutdown.cancel(),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        // Not `exit`: it would unload ONNX Runtime during a run, which would fail, and its page with it.
        std::process::abort();
    };
    std::thread::Builder::new().name("parent".to_owned()).spawn(watch).context("cannot start a thread")?;
    Ok(())
}
