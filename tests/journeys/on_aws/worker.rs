//! `quire worker` as a process, as its container runs it; and `quire serve` likewise.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use crate::harness::{eventually, quire_with};

use super::stack::Stack;

/// Prints the worker's process and ends as it does; kills it when nobody holds its input open any more.
const WATCH: &str =
    r#"exec 3<&0; "$@" 3<&- & worker=$!; echo $worker; { cat <&3 >&2; kill -9 $worker; } & wait $worker"#;

/// A running worker. Killed when it is dropped; its log is shown when the test fails.
#[derive(Debug)]
pub(super) struct Worker {
    watch: Child,
    pid: String,
    log: PathBuf,
}

impl Worker {
    /// Starts this program as a worker of the stack, with what its image sets in the environment.
    pub(super) fn start(stack: &Stack, program: &Path, variables: &[(&str, &str)]) -> Self {
        Self::run(stack, program, &["worker"], variables)
    }

    /// Starts a server with workers of its own, which finds the stack by its environment alone.
    pub(super) fn serve(stack: &Stack, program: &Path, listen: &str) -> Self {
        Self::run(stack, program, &["serve", "--workers", "1", "--listen", listen], &[])
    }

    fn run(stack: &Stack, program: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        static STARTED: AtomicUsize = AtomicUsize::new(1);
        let log = stack.folder.join(format!("worker-{}.log", STARTED.fetch_add(1, Ordering::Relaxed)));
        let mut watch = Command::new("sh")
            .args(["-c", WATCH, "sh"])
            .arg(program)
            .args(arguments)
            .envs(stack.environment())
            .env("QUIRE_HEARTBEAT_FILE", log.with_extension("heartbeat"))
            .env("QUIRE_LOG_FORMAT", "json")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a log"))
            .spawn()
            .expect("sh can be started");
        let mut printed = BufReader::new(watch.stdout.take().expect("it is piped"));
        let mut pid = String::new();
        printed.read_line(&mut pid).expect("it prints the process");
        // What the worker itself prints is of no interest, but it must not be stopped by a full pipe.
        thread::spawn(move || std::io::copy(&mut printed, &mut std::io::sink()));
        Self { watch, pid: pid.trim().to_owned(), log }
    }

    /// Whether it runs still.
    pub(super) fn runs(&mut self) -> bool {
        self.watch.try_wait().expect("it can be waited for").is_none()
    }

    /// Asks as the health check of its container does.
    pub(super) async fn is_alive(&self) -> bool {
        let heartbeat = self.log.with_extension("heartbeat");
        let asked = quire_with(["alive"], |command| {
            command.env("QUIRE_HEARTBEAT_FILE", heartbeat);
        });
        asked.await.code == Some(0)
    }

    /// Kills it as a power cut would, and waits until it is gone.
    pub(super) async fn kill(&mut self) {
        self.signal("-KILL");
        self.ended().await;
    }

    /// Asks it to stop, and waits until it has.
    pub(super) async fn stop(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.ended().await
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid]).status().expect("kill can be started");
        assert!(sent.success(), "the worker was gone before:\n{}", self.log());
    }

    async fn ended(&mut self) -> ExitStatus {
        let watch = std::sync::Mutex::new(&mut self.watch);
        eventually("the worker ends", || async {
            watch.lock().expect("no panic before").try_wait().expect("it can be waited for")
        })
        .await
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        self.watch.wait().expect("it can be waited for");
        if thread::panicking() {
            eprintln!("--- the log of a worker ---\n{}", self.log());
        }
    }
}
