//! `quire serve` as a process: started, killed, stopped, started again on the same data.

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
    Api, Ended,
    command::{QUIRE, quire_with},
    eventually,
    routes::written,
};

/// How many times another port is tried when somebody else took the free one first.
const PORTS: usize = 5;

/// How `serve` is to be started.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    program: PathBuf,
    folder: PathBuf,
    workers: usize,
    dev: bool,
    variables: Vec<(String, String)>,
    file_limit: Option<u32>,
    engines: Option<PathBuf>,
    port: u16,
}

impl Launch {
    /// One worker, and the data in `folder/data`.
    pub(crate) fn new(folder: &Path) -> Self {
        let (program, folder) = (QUIRE.into(), folder.to_owned());
        let (variables, file_limit, engines, port) = (Vec::new(), None, None, free_port());
        Self { program, folder, workers: 1, dev: false, variables, file_limit, engines, port }
    }

    pub(crate) fn workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    /// Lets callbacks and `image_url` lead to this machine.
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

    /// No file may grow beyond so many blocks of 512 bytes: a disk that is full, for large files.
    pub(crate) fn file_limit(self, blocks: u32) -> Self {
        Self { file_limit: Some(blocks), ..self }
    }

    /// Reads with these engines, by these routes.
    pub(crate) fn engines(self, config: &Value) -> Self {
        Self { engines: Some(written(&self.folder, config)), ..self }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn spawn(&self) -> Child {
        let mut command = match self.file_limit {
            None => Command::new(&self.program),
            Some(blocks) => {
                let script = format!("ulimit -f {blocks}; trap '' XFSZ; exec \"$0\" \"$@\"");
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(script).arg(&self.program);
                shell
            }
        };
        let log = File::options().create(true).append(true).open(self.log()).expect("a log");
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

/// Below the ports that systems give to connections: while a server is down, one of those could take its port.
pub(crate) fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| rand::random_range(15_000..32_000));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("there is no end to them")
}

/// A running `serve`. Killed when it is dropped; its log is shown when the test fails.
#[derive(Debug)]
pub(crate) struct Serve {
    launch: Launch,
    child: Child,
}

impl Serve {
    /// Starts it, and waits until its first worker is ready.
    pub(crate) async fn start(launch: Launch) -> Self {
        let mut serve = Self { child: launch.spawn(), launch };
        for _ in 0..PORTS {
            if serve.becomes_healthy().await {
                return serve;
            }
            serve.launch.port = free_port();
            serve.revive();
        }
        panic!("serve does not start:\n{}", serve.log());
    }

    /// Starts it again after its end, on the same data and port; does not wait.
    pub(crate) fn revive(&mut self) {
        self.child = self.launch.spawn();
    }

    /// Whether it gets ready; if not, it has ended because of its port.
    async fn becomes_healthy(&mut self) -> bool {
        let api = self.api();
        let log = self.launch.log();
        let child = std::sync::Mutex::new(&mut self.child);
        eventually("serve is healthy", || async {
            let ended = child.lock().expect("no panic before").try_wait().expect("it can be waited for");
            if let Some(status) = ended {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                assert!(log.contains("cannot listen"), "serve ended with {status}:\n{log}");
                return Some(false);
            }
            api.try_get("/healthz").await.is_ok_and(|answer| answer.status == 200).then_some(true)
        })
        .await
    }

    /// Waits until a worker is ready.
    pub(crate) async fn healthy(&mut self) {
        assert!(self.becomes_healthy().await, "its port is taken:\n{}", self.log());
    }

    /// Its API.
    pub(crate) fn api(&self) -> Api {
        Api::new(format!("http://127.0.0.1:{}", self.launch.port))
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.launch.data()
    }

    /// The folder of documents and results, by keys.
    pub(crate) fn objects(&self) -> PathBuf {
        self.data().join("objects")
    }

    /// Kills it as a power cut would: nothing in it can react.
    pub(crate) fn kill(&mut self) {
        // One that has ended already cannot be killed, which is as good.
        let _ = self.child.kill();
        self.child.wait().expect("it can be waited for");
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill can be started");
        assert!(sent.success(), "serve was gone before it was stopped");
        let child = std::sync::Mutex::new(&mut self.child);
        eventually("serve ends after SIGTERM", || async {
            child.lock().expect("no panic before").try_wait().expect("it can be waited for")
        })
        .await
    }

    /// The same data served by another program, or in another way.
    pub(crate) async fn replaced(mut self, change: impl FnOnce(Launch) -> Launch) -> Self {
        let ended = self.stop().await;
        assert!(ended.success(), "{ended}");
        let launch = change(self.launch.clone());
        Self::start(launch).await
    }

    /// The processes that work on its data, itself not counted.
    pub(crate) fn workers(&self) -> Vec<String> {
        let listed = Command::new("ps").args(["-axww", "-o", "pid=,args="]).output().expect("ps can be started");
        let data = self.data();
        let ours = |line: &&str| line.contains(&*data.to_string_lossy()) && line.contains(" worker ");
        String::from_utf8_lossy(&listed.stdout).lines().filter(ours).map(str::to_owned).collect()
    }

    /// Kills one of them, once there is one.
    pub(crate) async fn kill_a_worker(&self) {
        let worker = eventually("there is a worker", || async { self.workers().pop() }).await;
        let pid = worker.split_whitespace().next().expect("a line begins with its process").to_owned();
        let sent = Command::new("kill").args(["-KILL", &pid]).status().expect("kill can be started");
        assert!(sent.success(), "the worker was gone before it was killed");
    }

    /// Runs one of the operator's commands on its data, with its engines.
    pub(crate) async fn quire(&self, arguments: &[&str]) -> Ended {
        let data = self.data();
        let data = ["--data", data.to_str().expect("a plain path")];
        quire_with(arguments.iter().chain(&data), |command| {
            command.envs(self.launch.engines.iter().map(|file| ("QUIRE_ENGINES", file)));
        })
        .await
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.launch.log()).unwrap_or_default()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            // Children notice a moment later that they are orphans, and may have a last word.
            thread::sleep(Duration::from_millis(300));
            eprintln!("--- the log of serve ---\n{}", self.log());
        }
    }
}
