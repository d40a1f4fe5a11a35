//! Runs `quire worker` and `quire serve` as processes, with the environment of a stack.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use crate::harness::{eventually, quire_with};

use super::stack::EmulatedStack;

/// Prints the process id of the worker and exits with its status. Kills the worker when standard input closes, e.g.
/// because the test process crashed.
const WATCHDOG: &str =
    r#"exec 3<&0; "$@" 3<&- & worker=$!; echo $worker; { cat <&3 >&2; kill -9 $worker; } & wait $worker"#;

/// A running worker. Dropping it kills the process, and prints its log if the test fails.
#[derive(Debug)]
pub(super) struct StackWorker {
    watchdog: Child,
    pid: String,
    log: PathBuf,
}

impl StackWorker {
    /// Starts this program as a worker of the stack, with the environment variables of its image and these.
    pub(super) fn start(stack: &EmulatedStack, program: &Path, variables: &[(&str, &str)]) -> Self {
        Self::run(stack, program, &["worker"], variables)
    }

    /// Starts `serve` with one worker. It finds the stack by its environment variables.
    pub(super) fn serve(stack: &EmulatedStack, program: &Path, listen: &str) -> Self {
        Self::run(stack, program, &["serve", "--workers", "1", "--listen", listen], &[])
    }

    fn run(stack: &EmulatedStack, program: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        static STARTED: AtomicUsize = AtomicUsize::new(1);
        let log = stack.folder.join(format!("worker-{}.log", STARTED.fetch_add(1, Ordering::Relaxed)));
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "sh"])
            .arg(program)
            .args(arguments)
            .envs(stack.environment())
            .env("QUIRE_HEARTBEAT_FILE", log.with_extension("heartbeat"))
            .env("QUIRE_LOG_FORMAT", "json")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("the log can be created"))
            .spawn()
            .expect("sh can be run");
        let mut printed = BufReader::new(watchdog.stdout.take().expect("stdout is piped"));
        let mut pid = String::new();
        printed.read_line(&mut pid).expect("the watchdog prints the process id");
        // Drains the output of the worker, so that a full pipe does not block it.
        thread::spawn(move || std::io::copy(&mut printed, &mut std::io::sink()));
        Self { watchdog, pid: pid.trim().to_owned(), log }
    }

    /// Whether the process still runs.
    pub(super) fn is_running(&mut self) -> bool {
        self.watchdog.try_wait().expect("the process can be waited for").is_none()
    }

    /// Runs the health check of its container.
    pub(super) async fn is_alive(&self) -> bool {
        let heartbeat = self.log.with_extension("heartbeat");
        let check = quire_with(["alive"], |command| {
            command.env("QUIRE_HEARTBEAT_FILE", heartbeat);
        });
        check.await.code == Some(0)
    }

    /// Kills the worker with SIGKILL and waits for its exit.
    pub(super) async fn kill(&mut self) {
        self.signal("-KILL");
        self.wait_for_exit().await;
    }

    /// Stops the worker with SIGTERM and waits for its graceful shutdown.
    pub(super) async fn stop(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.wait_for_exit().await
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid]).status().expect("kill can be run");
        assert!(sent.success(), "the worker has already exited:\n{}", self.log());
    }

    async fn wait_for_exit(&mut self) -> ExitStatus {
        let watchdog = std::sync::Mutex::new(&mut self.watchdog);
        eventually("the worker exits", || async {
            watchdog.lock().expect("the lock is not poisoned").try_wait().expect("the process can be waited for")
        })
        .await
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for StackWorker {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        self.watchdog.wait().expect("the process can be waited for");
        if thread::panicking() {
            eprintln!("--- log of a worker ---\n{}", self.log());
        }
    }
}
