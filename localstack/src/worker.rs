//! `quire worker`: a child of `serve`.

use std::{fs::File, io::BufRead};

use anyhow::Context;
use quire_boot::stop_signal;
use quire_document::{Documents, Limits};
use quire_natives::Progress;
use quire_platform::Embedded;
use quire_worker::{Renderer, Settings, Worker};
use tokio_util::sync::CancellationToken;

use crate::{MakeEngine, cli, home_dir};

/// What the parent writes to a child's standard input to have it finish what it has in hand.
pub(crate) const DRAIN: &str = "drain";
/// What a child prints once its model is loaded.
pub(crate) const READY: &str = "ready";

/// Reads pages until told to stop. Standard input is the tie to the parent: when it closes, the parent is dead, and the
/// child ends at once, since the next `serve` waits for it and reads its pages again.
pub(crate) async fn worker(args: cli::Worker, make_engine: MakeEngine) -> anyhow::Result<()> {
    let _alive: File = home_dir::enter_as_worker(&args.data)?;
    let shutdown = stop_signal()?;
    watch_parent(shutdown.clone())?;
    let pdfium = tokio::task::spawn_blocking(|| quire_natives::pdfium(&Progress::Silent)).await??;
    let renderer = Renderer::start(|| Documents::new(Some(pdfium), Limits::default()))?;
    let home = Embedded::open(&args.data, &args.holder)?.home();
    let worker = Worker { home, renderer, settings: Settings::from_env()? };
    worker.run(move || make_engine(args.device), say_ready, shutdown).await
}

fn say_ready() {
    use std::io::Write;
    // A parent that is gone is noticed by the other thread.
    let _ = writeln!(std::io::stdout(), "{READY}");
}

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
