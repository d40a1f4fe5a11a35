//! Worker processes, kept alive.

use std::{
    io::Write,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::{
    cli,
    engine::Machine,
    site::Site,
    worker::{DRAIN, READY},
};

/// How long a worker may take to give back what it could not finish in its time: then it is killed.
const GIVE_BACK_LIMIT: Duration = Duration::from_secs(10);
/// Wait before the first restart; a worker that keeps dying is restarted after twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest wait before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A worker that lived this long is no longer taken for one that cannot start.
const HEALTHY_AFTER: Duration = Duration::from_secs(30);

/// Starts workers again when they die.
#[derive(Debug)]
pub(crate) struct Supervisor {
    /// The program and the backend that workers are started with.
    pub(crate) program: PathBuf,
    pub(crate) site: Site,
    pub(crate) engine: cli::Engine,
    /// How long a worker takes at most to finish what it has in hand.
    pub(crate) drain_limit: Duration,
    pub(crate) workers: usize,
    pub(crate) ready: AtomicUsize,
    pub(crate) restarts: AtomicUsize,
    /// Whether a worker has ever been ready: if so, what it was started with is right.
    pub(crate) proven: AtomicBool,
}

impl Supervisor {
    /// Keeps one worker alive until `shutdown`, then has it finish what it has in hand.
    ///
    /// # Errors
    /// When a worker gives up by itself before any was ready: a device or a library is missing, and it has said which.
    pub(crate) async fn keep(&self, slot: usize, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut pause = FIRST_PAUSE;
        while !shutdown.is_cancelled() {
            let holder = format!("worker-{slot}-{}", Uuid::now_v7().simple());
            let started = Instant::now();
            let ended = self.run_one(&holder, &shutdown).await;
            // Nobody holds these any more: their pages are received again now, not when the leases run out.
            if let Err(error) = self.site.forfeit(&holder).await {
                warn!(%error, "the pages of a worker that died come again only when their leases have run out");
            }
            if shutdown.is_cancelled() {
                break;
            }
            let gave_up = ended.as_ref().is_ok_and(|status| status.code().is_some());
            ensure!(!gave_up || self.proven.load(Ordering::SeqCst), "a worker could not start: see above");
            self.restarts.fetch_add(1, Ordering::Relaxed);
            pause = if started.elapsed() > HEALTHY_AFTER { FIRST_PAUSE } else { pause };
            let pause_ms = pause.as_millis() as u64;
            match ended {
                Ok(status) => error!(worker = slot, %status, pause_ms, "a worker died; it is started again"),
                Err(error) => {
                    let error = format!("{error:#}");
                    error!(worker = slot, error, pause_ms, "a worker could not be started; it is tried again");
                }
            }
            let _ = shutdown.run_until_cancelled(tokio::time::sleep(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }

    async fn run_one(&self, holder: &str, shutdown: &CancellationToken) -> anyhow::Result<ExitStatus> {
        let Machine { device, provider, threads } = Machine::shared(&self.engine, self.workers);
        let device = clap::ValueEnum::to_possible_value(&device).context("every device has a name")?;
        let mut child = Command::new(&self.program)
            .arg("worker")
            .args(self.site.arguments())
            .args(["--holder", holder, "--device", device.get_name(), "--provider", provider.as_str()])
            .args(["--threads", &threads.to_string()])
            // Not as an argument: it may be long.
            .envs(self.engine.routes.said.iter().map(|said| ("QUIRE_ENGINES", said)))
            .envs(give_memory_back())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("no process could be started")?;
        // Taken out of the child, since waiting for it would close what is left in it: the sign that the parent died.
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
                        self.proven.store(true, Ordering::SeqCst);
                        self.ready.fetch_add(1, Ordering::SeqCst);
                    }
                    // What else a worker prints is for whoever reads its parent's output: metrics.
                    Some(line) => pass_on(&line),
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

    async fn drain(&self, child: &mut Child, stdin: &mut ChildStdin) -> anyhow::Result<ExitStatus> {
        // A child that is gone already cannot be told.
        let _ = stdin.write_all(format!("{DRAIN}\n").as_bytes()).await;
        if let Ok(status) = tokio::time::timeout(self.drain_limit + GIVE_BACK_LIMIT, child.wait()).await {
            return Ok(status?);
        }
        info!("a worker did not stop in time: its pages are read again at the next start");
        child.kill().await?;
        Ok(child.wait().await?)
    }
}

fn pass_on(line: &str) {
    // One write, so that lines stay whole; nobody may be reading them.
    let _ = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
}

/// Has glibc return what loading the model leaves free: 20 MB a worker, at no measurable cost. An operator's own setting
/// stays; other allocators know nothing of it.
fn give_memory_back() -> Option<(&'static str, &'static str)> {
    const VARIABLE: &str = "MALLOC_TRIM_THRESHOLD_";
    std::env::var_os(VARIABLE).is_none().then_some((VARIABLE, "131072"))
}
