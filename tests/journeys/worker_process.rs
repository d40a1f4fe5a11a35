//! `quire worker` as its own process, as in a container: start, heartbeat and graceful shutdown.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::harness::{
    QUIRE, ServeOptions, ServeProcess, TestPage, UploadFile, eventually, expected_texts, faulty_quire, png, quire,
    quire_with, text_of, without_whitespace,
};

/// A running worker. Dropping it kills the process.
struct WorkerProcess {
    child: Child,
    log: PathBuf,
    output: PathBuf,
}

impl WorkerProcess {
    fn start(program: impl AsRef<Path>, data: &Path, variables: &[(&str, &str)]) -> Self {
        let [log, output] = ["worker.log", "worker.out"].map(|name| data.with_extension(name));
        let child = Command::new(program.as_ref())
            .args(["worker", "--data"])
            .arg(data)
            .envs(variables.iter().copied())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(File::create(&output).expect("the file can be written"))
            .stderr(File::create(&log).expect("a log"))
            .kill_on_drop(true)
            .spawn()
            .expect("the worker starts");
        Self { child, log, output }
    }

    /// Stops the worker with SIGTERM and waits for its graceful shutdown.
    async fn stop(&mut self) -> ExitStatus {
        let pid = self.child.id().expect("the worker runs").to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill can be run");
        assert!(sent.success(), "the worker ended before it was stopped:\n{}", self.log());
        self.child.wait().await.expect("the worker can be waited for")
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Returns the numbers of page messages in flight and ready.
async fn page_queue_depth(serve: &ServeProcess) -> (u64, u64) {
    let health = serve.api().get("/healthz").await.expect_status(200);
    let pages = &health["queues"]["pages"];
    (pages["in_flight"].as_u64().expect("a count"), pages["ready"].as_u64().expect("a count"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_releases_the_pages_it_cannot_finish() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // A server that is started without workers is healthy without them.
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).workers(0)).await;
    let endless = UploadFile::new("endless.png", png(&TestPage::new("Endless").cyan()));
    let id = serve.api().submit_without_callback([endless]).await.accepted_task_id();
    let mut stuck = WorkerProcess::start(faulty_quire(), &serve.data(), &[("QUIRE_DRAIN_SECS", "2")]);
    eventually("the page is in flight", || async { (page_queue_depth(&serve).await == (1, 0)).then_some(()) }).await;

    let stop_requested = Instant::now();
    let status = stuck.stop().await;
    let took = stop_requested.elapsed();
    let log = stuck.log();
    assert_eq!(page_queue_depth(&serve).await, (0, 1), "its lease is released, not left to expire:\n{log}");
    assert!(took > Duration::from_secs(2) && took < Duration::from_secs(30), "it took {took:?}:\n{log}");
    assert!(log.contains(expected_texts::PAGES_RELEASED) && log.contains("pages=1"), "{log}");
    // SIGABRT: `exit` would run destructors while the model thread still runs.
    assert_eq!(status.signal(), Some(6), "{status}");

    let mut other = WorkerProcess::start(QUIRE, &serve.data(), &[("QUIRE_METRICS_NAMESPACE", "Quire")]);
    let task = serve.api().await_end(&id).await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    assert_eq!(without_whitespace(text_of(&task["documents"][0]["pages"][0])), "Endless");
    let stop_requested = Instant::now();
    let status = other.stop().await;
    assert_eq!(status.code(), Some(0), "{}", other.log());
    assert!(stop_requested.elapsed() < Duration::from_secs(20), "idle, it took {:?}", stop_requested.elapsed());
    let metrics = metric_names(&other.output);
    let page_metrics: Vec<&str> = metrics.iter().map(String::as_str).filter(|name| name.starts_with("Pages")).collect();
    assert_eq!(page_metrics, ["PagesTakenUp", "PagesRetried", "PagesSucceeded"]);
    for name in ["BatchPages", "AddedWait", "RecognitionTime"] {
        assert!(metrics.iter().any(|metric| metric == name), "{name}: {metrics:?}");
    }
    let log = other.log();
    let is_about_the_page =
        |line: &str| line.contains(expected_texts::PAGE_RETRIED) || line.contains(expected_texts::PAGE_SUCCEEDED);
    let traced: Vec<&str> = log.lines().filter(|line| is_about_the_page(line) && line.contains("trace.id=")).collect();
    assert_eq!(traced.len(), 2, "{log}");
}

/// Returns the names of the metrics in a worker's output (`CloudWatch` embedded metric format).
fn metric_names(output: &Path) -> Vec<String> {
    let output = fs::read_to_string(output).expect("the output is UTF-8");
    let lines = output.lines().map(|line| serde_json::from_str::<Value>(line).expect("only JSON is printed"));
    let name = |metric: &Value| metric["Name"].as_str().map(str::to_owned).expect("a metric has a name");
    let names = |line: Value| {
        let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
            .as_array()
            .map(|metrics| metrics.iter().map(name).collect());
        metrics.unwrap_or_else(|| panic!("no metrics: {line}"))
    };
    lines.flat_map(|line| -> Vec<String> { names(line) }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_detects_a_dead_worker() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let heartbeat = folder.path().join("heartbeat");
    let file = heartbeat.to_str().expect("the path is UTF-8").to_owned();
    let alive = || {
        quire_with(["alive"], |command| {
            command.env("QUIRE_HEARTBEAT_FILE", &file);
        })
    };
    assert!(alive().await.expect_error_line().contains(expected_texts::NO_HEARTBEAT));
    let mut worker = WorkerProcess::start(QUIRE, &folder.path().join("data"), &[("QUIRE_HEARTBEAT_FILE", &file)]);
    eventually("there is a heartbeat", || async { (alive().await.code == Some(0)).then_some(()) }).await;

    let make_outdated = || {
        let write_config = File::options().write(true).open(&heartbeat).expect("the heartbeat file exists");
        write_config
            .set_modified(SystemTime::now() - Duration::from_secs(90))
            .expect("the modification time can be set");
    };
    make_outdated();
    eventually("there is another heartbeat", || async { (alive().await.code == Some(0)).then_some(()) }).await;
    assert_eq!(worker.stop().await.code(), Some(0), "{}", worker.log());
    make_outdated();
    assert!(
        alive().await.expect_error_line().contains(expected_texts::OUTDATED_HEARTBEAT),
        "no worker writes heartbeats"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_cannot_write_its_heartbeat_does_not_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let nowhere = folder.path().join("missing").join("heartbeat");
    let data = folder.path().join("data");
    let variables = |command: &mut Command| {
        command.env("QUIRE_HEARTBEAT_FILE", &nowhere).env("QUIRE_LOG", "error");
    };
    let refused = quire_with(["worker", "--data", data.to_str().expect("the path is UTF-8")], variables).await;
    assert!(refused.expect_error_line().contains("QUIRE_HEARTBEAT_FILE"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_on_aws_require_a_bucket() {
    let commands: [&[&str]; 4] =
        [&["worker"], &["serve", "--listen", "127.0.0.1:0"], &["dead-letters", "list"], &["webhook-secret"]];
    for command in commands {
        let on_aws = |started: &mut Command| {
            started.env("QUIRE_PLATFORM", "aws").env_remove("QUIRE_AWS_BUCKET");
        };
        let refused = quire_with(command, on_aws).await;
        assert!(refused.expect_error_line().contains(expected_texts::NO_BUCKET), "{command:?}: {refused:?}");
    }
    let elsewhere = quire(["worker", "--platform", "elsewhere"]).await;
    assert!(elsewhere.stderr.contains("embedded, aws"), "{elsewhere:?}");
}
