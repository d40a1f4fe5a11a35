//! Runs `quire serve` as a process: starts, kills, stops and restarts it on the same data.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{
    ApiClient, CommandOutput,
    command::{QUIRE, quire_with},
    engine_config::write_config,
    eventually, expected_texts,
};

/// Attempts with another port when a process takes the free one first.
const MAX_PORT_ATTEMPTS: usize = 5;

/// The arguments and the environment of `serve`.
#[derive(Debug, Clone)]
pub(crate) struct ServeOptions {
    program: PathBuf,
    folder: PathBuf,
    workers: usize,
    dev: bool,
    variables: Vec<(String, String)>,
    /// Shell commands that run in the process before the server.
    prelude: Vec<String>,
    engines: Option<PathBuf>,
    port: u16,
}

impl ServeOptions {
    /// One worker, with the data in `folder/data` and the log in `folder/serve.log`.
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            program: QUIRE.into(),
            folder: folder.to_owned(),
            workers: 1,
            dev: false,
            variables: Vec::new(),
            prelude: Vec::new(),
            engines: None,
            port: free_port(),
        }
    }

    pub(crate) fn workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    /// Permits private addresses in callbacks and `image_url`.
    pub(crate) fn dev(self) -> Self {
        Self { dev: true, ..self }
    }

    pub(crate) fn program(self, program: PathBuf) -> Self {
        Self { program, ..self }
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Limits the size of each file, in blocks of 512 bytes (`ulimit -f`): simulates a full disk for large files.
    pub(crate) fn file_limit(self, blocks: u32) -> Self {
        self.prelude(&format!("ulimit -f {blocks}; trap '' XFSZ"))
    }

    /// Runs shell commands before the server, e.g. `ulimit -n 1024`.
    pub(crate) fn prelude(mut self, commands: &str) -> Self {
        self.prelude.push(commands.to_owned());
        self
    }

    /// Uses this configuration of engines and routes.
    pub(crate) fn engines(self, config: &Value) -> Self {
        Self { engines: Some(write_config(&self.folder, config)), ..self }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn spawn(&self) -> Child {
        let mut command = if self.prelude.is_empty() {
            Command::new(&self.program)
        } else {
            let script = format!("{}; exec \"$0\" \"$@\"", self.prelude.join("; "));
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(script).arg(&self.program);
            shell
        };
        let log = File::options().create(true).append(true).open(self.log()).expect("the log can be opened");
        command
            .args(["serve", "--listen", &format!("127.0.0.1:{}", self.port), "--data"])
            .arg(self.data())
            .args(["--workers", &self.workers.to_string()])
            .args(self.dev.then_some("--dev"))
            .args(self.engines.iter().flat_map(|file| ["--engines".as_ref(), file.as_os_str()]))
            .env_remove("QUIRE_WEBHOOK_SECRET")
            .env("NO_COLOR", "1")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("serve can be started")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("serve.log")
    }
}

/// Returns a free port below the ephemeral range: while a server is down, an outgoing connection could take a port of
/// it.
pub(crate) fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| rand::random_range(15_000..32_000));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("the iterator is infinite")
}

/// A running `serve`. Dropping it kills the process, and prints its log if the test fails.
#[derive(Debug)]
pub(crate) struct ServeProcess {
    launch: ServeOptions,
    child: Child,
}

impl ServeProcess {
    /// Starts the server and waits until its first worker is ready.
    pub(crate) async fn start(launch: ServeOptions) -> Self {
        let mut serve = Self { child: launch.spawn(), launch };
        for _ in 0..MAX_PORT_ATTEMPTS {
            if serve.poll_health().await {
                return serve;
            }
            serve.launch.port = free_port();
            serve.restart();
        }
        panic!("serve does not start:\n{}", serve.log());
    }

    /// Starts the server again after it ended, on the same data and port; does not wait until it is ready.
    pub(crate) fn restart(&mut self) {
        self.child = self.launch.spawn();
    }

    /// Waits until the server is healthy. Returns false if it exits because its port is in use.
    async fn poll_health(&mut self) -> bool {
        let api = self.api();
        let log = self.launch.log();
        let child = std::sync::Mutex::new(&mut self.child);
        eventually("serve is healthy", || async {
            let ended =
                child.lock().expect("the lock is not poisoned").try_wait().expect("the process can be waited for");
            if let Some(status) = ended {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                assert!(log.contains(expected_texts::CANNOT_LISTEN), "serve ended with {status}:\n{log}");
                return Some(false);
            }
            api.try_get("/healthz").await.is_ok_and(|answer| answer.status == 200).then_some(true)
        })
        .await
    }

    /// Waits until a worker is ready.
    pub(crate) async fn await_healthy(&mut self) {
        assert!(self.poll_health().await, "the port is in use:\n{}", self.log());
    }

    /// Returns a client of the API.
    pub(crate) fn api(&self) -> ApiClient {
        ApiClient::new(format!("http://127.0.0.1:{}", self.launch.port))
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.launch.data()
    }

    /// Returns the folder of the object store.
    pub(crate) fn objects(&self) -> PathBuf {
        self.data().join("objects")
    }

    /// Kills the server with SIGKILL.
    pub(crate) fn kill(&mut self) {
        // Fails if the process has already ended, which is fine.
        let _ = self.child.kill();
        self.child.wait().expect("the process can be waited for");
    }

    /// Sends SIGTERM to the server.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill can be run");
        assert!(sent.success(), "serve ended before it was stopped");
    }

    /// Stops the server with SIGTERM and waits for its graceful shutdown.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.terminate();
        let child = std::sync::Mutex::new(&mut self.child);
        eventually("serve exits after SIGTERM", || async {
            child.lock().expect("the lock is not poisoned").try_wait().expect("the process can be waited for")
        })
        .await
    }

    /// Stops the server and starts it again on the same data with changed options.
    pub(crate) async fn relaunch(mut self, change: impl FnOnce(ServeOptions) -> ServeOptions) -> Self {
        let ended = self.stop().await;
        assert!(ended.success(), "{ended}");
        let launch = change(self.launch.clone());
        Self::start(launch).await
    }

    /// Returns the `ps` lines of the worker processes on its data.
    pub(crate) fn workers(&self) -> Vec<String> {
        let listed = Command::new("ps").args(["-axww", "-o", "pid=,args="]).output().expect("ps can be run");
        let data = self.data();
        let ours = |line: &&str| line.contains(&*data.to_string_lossy()) && line.contains(" worker ");
        String::from_utf8_lossy(&listed.stdout).lines().filter(ours).map(str::to_owned).collect()
    }

    /// Waits for a worker process and kills it with SIGKILL.
    pub(crate) async fn kill_worker(&self) {
        let worker = eventually("a worker runs", || async { self.workers().pop() }).await;
        let pid = worker.split_whitespace().next().expect("a ps line starts with the process id").to_owned();
        let sent = Command::new("kill").args(["-KILL", &pid]).status().expect("kill can be run");
        assert!(sent.success(), "the worker ended before it was killed");
    }

    /// Runs an operator's command on its data, with its engine configuration.
    pub(crate) async fn quire(&self, arguments: &[&str]) -> CommandOutput {
        let data = self.data();
        let data = ["--data", data.to_str().expect("the path is UTF-8")];
        quire_with(arguments.iter().chain(&data), |command| {
            command.envs(self.launch.engines.iter().map(|file| ("QUIRE_ENGINES", file)));
        })
        .await
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.launch.log()).unwrap_or_default()
    }
}

impl Drop for ServeProcess {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            // Workers notice a moment later that their parent ended, and may still log.
            thread::sleep(Duration::from_millis(300));
            eprintln!("--- log of serve ---\n{}", self.log());
        }
    }
}
