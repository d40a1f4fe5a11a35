//! `quire worker`: on its own, in a container say, or as a child of `serve`.

use std::{
    io::{BufRead, Write},
    sync::Arc,
};

use anyhow::Context;
use quire_document::{DocumentLimits, Documents};
use quire_native_libs::Progress;
use quire_telemetry::stop_signal;
use quire_worker::{Renderer, Settings, Stopped, Worker};
use tokio_util::sync::CancellationToken;
use tracing::info;
use uuid::Uuid;

use crate::{Machine, MakeEngine, cli, heartbeat::Heartbeat, site::Site};

/// What the parent writes to a child's standard input to have it finish what it has in hand.
pub(crate) const DRAIN: &str = "drain";
/// What a child prints once its models are loaded.
pub(crate) const READY: &str = "ready";

/// Reads pages until told to stop: by a signal, or by its parent if it is a child of `serve`.
pub(crate) async fn worker(args: cli::Worker, make_engine: MakeEngine) -> anyhow::Result<()> {
    let shutdown = stop_signal()?;
    let is_child = args.holder.is_some();
    let holder = args.holder.unwrap_or_else(|| format!("worker-{}", Uuid::now_v7().simple()));
    let site = Site::to_read(&args.place, &holder).await?;
    if is_child {
        watch_parent(shutdown.clone())?;
    }
    let (settings, config) = (Settings::from_env()?, Arc::new(args.engine.routes.config()?));
    let machine = Machine::shared(&args.engine.checked()?, 1);
    let machine = Machine { threads: args.threads.unwrap_or(machine.threads), ..machine };
    // Before there is a model: ending while one is being loaded would crash.
    let heartbeat = Heartbeat::start().await?;
    let pdfium = tokio::task::spawn_blocking(|| quire_native_libs::pdfium(&Progress::Silent)).await??;
    let renderer = Renderer::start(move || Documents::new(Some(pdfium.clone()), DocumentLimits::default()))?;
    let worker = Worker { backend: site.backend(), renderer, settings, config, name: holder };
    let ready = move || if is_child { say_ready() } else { info!("reading pages") };
    let reading = worker.run(move |entry| make_engine(entry, machine), ready, shutdown);
    let stopped = tokio::select! {
        stopped = reading => stopped?,
        never = heartbeat.go_on() => match never {},
    };
    if stopped == Stopped::BrokenOff {
        // Not `exit`: it would take ONNX Runtime's tables down under a run.
        std::process::abort();
    }
    info!("stopped: nothing is in hand");
    Ok(())
}

fn say_ready() {
    // A parent that is gone is noticed by the other thread.
    let _ = writeln!(std::io::stdout(), "{READY}");
}

/// Standard input is a child's tie to its parent: when it closes, the parent is dead, and the child ends at once, since
/// the next `serve` waits for it and reads its pages again.
fn watch_parent(shutdown: CancellationToken) -> anyhow::Result<()> {
    let watch = move || {
        for line in std::io::stdin().lock().lines() {
            match line {
                Ok(line) if line == DRAIN => shutdown.cancel(),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        // Not `exit`: it would take ONNX Runtime's tables down under a run, which then fails, and its page with it.
        std::process::abort();
    };
    std::thread::Builder::new().name("parent".to_owned()).spawn(watch).context("no thread could be started")?;
    Ok(())
}
