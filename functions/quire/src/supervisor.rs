//! The supervisor: keeps worker processes running.

use std::{
    io::Write,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use quire_telemetry::terminal::escape_line;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::{
    cli::{EngineArgs, device_name},
    deployment::Deployment,
    engine::EngineResources,
    worker::{DRAIN, READY},
};

/// Timeout for releasing leases after the drain timeout; then the worker is killed.
pub(crate) const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);
/// Delay before the first restart. The backoff doubles it for a worker that keeps dying.
const MIN_BACKOFF: Duration = Duration::from_millis(100);
/// The longest delay before a restart.
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// A worker that ran for this long resets the backoff.
const HEALTHY_AFTER: Duration = Duration::from_secs(30);

/// Starts worker processes, and restarts them when they die.
#[derive(Debug)]
pub(crate) struct Supervisor {
    /// The executable of the workers.
    pub(crate) program: PathBuf,
    pub(crate) deployment: Deployment,
    pub(crate) engine: EngineArgs,
    /// How long a worker may take to finish its pages in flight.
    pub(crate) drain_timeout: Duration,
    pub(crate) workers: usize,
    pub(crate) ready: AtomicUsize,
    pub(crate) restarts: AtomicUsize,
    /// Whether a worker has ever been ready: if so, its arguments are valid.
    pub(crate) was_ever_ready: AtomicBool,
}

impl Supervisor {
    /// Keeps one worker running until `shutdown`, then drains it.
    ///
    /// # Errors
    /// When a worker exits on its own before any was ready: it has printed which device or library is missing.
    pub(crate) async fn keep_running(&self, slot: usize, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut backoff = MIN_BACKOFF;
        while !shutdown.is_cancelled() {
            let holder = format!("worker-{slot}-{}", Uuid::now_v7().simple());
            let started = Instant::now();
            let ended = self.run_worker(&holder, &shutdown).await;
            if let Err(error) = self.deployment.release_leases_of(&holder).await {
                warn!(%error, "cannot release the leases of a dead worker; its pages return when they expire");
            }
            if shutdown.is_cancelled() {
                break;
            }
            let exited_itself = ended.as_ref().is_ok_and(|status| status.code().is_some());
            ensure!(
                !exited_itself || self.was_ever_ready.load(Ordering::SeqCst),
                "a worker could not start: see its error above"
            );
            self.restarts.fetch_add(1, Ordering::Relaxed);
            if started.elapsed() > HEALTHY_AFTER {
                backoff = MIN_BACKOFF;
            }
            let pause_ms = backoff.as_millis() as u64;
            match ended {
                Ok(status) => error!(worker = slot, %status, pause_ms, "worker died; restarting it"),
                Err(error) => {
                    let error = format!("{error:#}");
                    error!(worker = slot, error, pause_ms, "cannot start a worker; retrying");
                }
            }
            let _ = shutdown.run_until_cancelled(tokio::time::sleep(backoff)).await;
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
        Ok(())
    }

    async fn run_worker(&self, holder: &str, shutdown: &CancellationToken) -> anyhow::Result<ExitStatus> {
        let mut child = self.spawn_worker(holder)?;
        // Taken out of the child: `Child::wait` would close it, and the worker takes a closed standard input as a sign
        // that its parent has died.
        let mut stdin = child.stdin.take().context("standard input is piped")?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut is_ready = false;
        let mut is_open = true;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                line = lines.next_line(), if is_open => match line? {
                    Some(line) if line == READY && !is_ready => {
                        is_ready = true;
                        self.was_ever_ready.store(true, Ordering::SeqCst);
                        self.ready.fetch_add(1, Ordering::SeqCst);
                    }
                    // Any other output of a worker is metrics.
                    Some(line) => forward_line(&line),
                    None => is_open = false,
                },
                () = shutdown.cancelled() => break self.drain(&mut child, &mut stdin).await?,
            }
        };
        if is_ready {
            self.ready.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(status)
    }

    fn spawn_worker(&self, holder: &str) -> anyhow::Result<Child> {
        let EngineResources { device, provider, threads, tier } = EngineResources::share_of(&self.engine, self.workers);
        Command::new(&self.program)
            .arg("worker")
            .args(self.deployment.child_arguments())
            .args(["--holder", holder, "--device", device_name(device), "--provider", provider.as_str()])
            .args(["--threads", &threads.to_string(), "--tier", tier.as_str()])
            // An environment variable rather than an argument: it may be long.
            .envs(self.engine.routes.engines.iter().map(|engines| ("QUIRE_ENGINES", engines)))
            .envs(trim_threshold())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start a process")
    }

    async fn drain(&self, child: &mut Child, stdin: &mut ChildStdin) -> anyhow::Result<ExitStatus> {
        // Fails only if the child has ended already.
        let _ = stdin.write_all(format!("{DRAIN}\n").as_bytes()).await;
        if let Ok(status) = tokio::time::timeout(self.drain_timeout + RELEASE_TIMEOUT, child.wait()).await {
            return Ok(status?);
        }
        info!("shutdown timeout: killing a worker; its pages are read after the next start");
        child.kill().await?;
        Ok(child.wait().await?)
    }
}

/// Writes a worker's line to standard output, in one write so that lines are not interleaved.
fn forward_line(line: &str) {
    // Standard output may be closed.
    let _ = std::io::stdout().lock().write_all(format!("{}\n", escape_line(line)).as_bytes());
}

/// Makes glibc return the memory that loading the model has freed: 20 MB per worker, at no measurable cost. An
/// operator's own setting stays; other allocators ignore the variable.
fn trim_threshold() -> Option<(&'static str, &'static str)> {
    const VARIABLE: &str = "MALLOC_TRIM_THRESHOLD_";
    std::env::var_os(VARIABLE).is_none().then_some((VARIABLE, "131072"))
}
