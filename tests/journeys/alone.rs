//! `quire worker` on its own, as a container runs it: how it starts, shows that it lives, and stops.

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
    Launch, QUIRE, Serve, Sheet, Upload, eventually, faulty, png, quire, quire_with, squeezed, text_of,
};

/// Killed when it is dropped.
struct Worker {
    child: Child,
    log: PathBuf,
    output: PathBuf,
}

impl Worker {
    fn start(program: impl AsRef<Path>, data: &Path, variables: &[(&str, &str)]) -> Self {
        let [log, output] = ["worker.log", "worker.out"].map(|name| data.with_extension(name));
        let child = Command::new(program.as_ref())
            .args(["worker", "--data"])
            .arg(data)
            .envs(variables.iter().copied())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(File::create(&output).expect("a file"))
            .stderr(File::create(&log).expect("a log"))
            .kill_on_drop(true)
            .spawn()
            .expect("a worker can be started");
        Self { child, log, output }
    }

    /// Asks it to stop, and waits until it has.
    async fn stop(&mut self) -> ExitStatus {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill can be started");
        assert!(sent.success(), "it was gone before it was stopped:\n{}", self.log());
        self.child.wait().await.expect("it can be waited for")
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// How many pages are in somebody's hands, and how many wait.
async fn pages(serve: &Serve) -> (u64, u64) {
    let health = serve.api().get("/healthz").await.body(200);
    let count = |what: &str| health["queues"]["pages"][what].as_u64().expect("a count");
    (count("in_flight"), count("ready"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_gives_back_at_once_what_it_cannot_finish() {
    let folder = tempfile::tempdir().expect("a folder");
    // A server that has no workers of its own is healthy without.
    let serve = Serve::start(Launch::new(folder.path()).workers(0)).await;
    let endless = Upload::new("endless.png", png(&Sheet::new("Endless").cyan()));
    let id = serve.api().submit_without_callback([endless]).await.accepted();
    let mut stuck = Worker::start(faulty(), &serve.data(), &[("QUIRE_DRAIN_SECS", "2")]);
    eventually("the page is in hand", || async { (pages(&serve).await == (1, 0)).then_some(()) }).await;

    let asked = Instant::now();
    let status = stuck.stop().await;
    let (took, log) = (asked.elapsed(), stuck.log());
    assert_eq!(pages(&serve).await, (0, 1), "others may read it now, not when its lease has run out:\n{log}");
    assert!(took > Duration::from_secs(2) && took < Duration::from_secs(30), "it took {took:?}:\n{log}");
    assert!(log.contains("are released to other workers") && log.contains("pages=1"), "{log}");
    // By no `exit`, which would run under the model's feet.
    assert_eq!(status.signal(), Some(6), "{status}");

    let mut other = Worker::start(QUIRE, &serve.data(), &[("QUIRE_METRICS_NAMESPACE", "Quire")]);
    let task = serve.api().ended(&id).await;
    assert_eq!(task["status"], "succeeded", "{task:#}");
    assert_eq!(squeezed(text_of(&task["documents"][0]["pages"][0])), "Endless");
    let asked = Instant::now();
    let status = other.stop().await;
    assert_eq!(status.code(), Some(0), "{}", other.log());
    assert!(asked.elapsed() < Duration::from_secs(20), "with nothing in hand it took {:?}", asked.elapsed());
    let told = counted(&other.output);
    let of_pages: Vec<&str> = told.iter().map(String::as_str).filter(|name| name.starts_with("Pages")).collect();
    assert_eq!(of_pages, ["PagesTakenUp", "PagesRetried", "PagesSucceeded"]);
    assert!(
        ["BatchPages", "AddedWait", "RecognitionTime"].iter().all(|name| told.iter().any(|told| told == name)),
        "{told:?}"
    );
    let log = other.log();
    let of_the_page = |line: &&str| line.contains("retrying a page") || line.contains("a page succeeded");
    let traced: Vec<&str> = log.lines().filter(of_the_page).filter(|line| line.contains("trace.id=")).collect();
    assert_eq!(traced.len(), 2, "{log}");
}

/// The names of the metrics in a worker's output.
fn counted(output: &Path) -> Vec<String> {
    let output = fs::read_to_string(output).expect("it is UTF-8");
    let lines = output.lines().map(|line| serde_json::from_str::<Value>(line).expect("nothing else is printed"));
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
async fn a_worker_shows_that_it_lives_and_a_dead_one_is_found_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let heartbeat = folder.path().join("heartbeat");
    let file = heartbeat.to_str().expect("a plain path").to_owned();
    let alive = || {
        quire_with(["alive"], |command| {
            command.env("QUIRE_HEARTBEAT_FILE", &file);
        })
    };
    assert!(alive().await.complaint().contains("no heartbeat"));
    let mut worker = Worker::start(QUIRE, &folder.path().join("data"), &[("QUIRE_HEARTBEAT_FILE", &file)]);
    eventually("there is a sign of life", || async { (alive().await.code == Some(0)).then_some(()) }).await;

    let age = || {
        let written = File::options().write(true).open(&heartbeat).expect("it is there");
        written.set_modified(SystemTime::now() - Duration::from_secs(90)).expect("its time can be set");
    };
    age();
    eventually("there is another one", || async { (alive().await.code == Some(0)).then_some(()) }).await;
    assert_eq!(worker.stop().await.code(), Some(0), "{}", worker.log());
    age();
    assert!(alive().await.complaint().contains("old"), "nobody gives signs any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_of_life_that_cannot_be_given_is_a_reason_not_to_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let nowhere = folder.path().join("missing").join("heartbeat");
    let data = folder.path().join("data");
    let variables = |command: &mut Command| {
        command.env("QUIRE_HEARTBEAT_FILE", &nowhere).env("QUIRE_LOG", "error");
    };
    let refused = quire_with(["worker", "--data", data.to_str().expect("a plain path")], variables).await;
    assert!(refused.complaint().contains("QUIRE_HEARTBEAT_FILE"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_aws_the_bucket_must_be_named() {
    let commands: [&[&str]; 4] =
        [&["worker"], &["serve", "--listen", "127.0.0.1:0"], &["dead-letters", "list"], &["webhook-secret"]];
    for command in commands {
        let on_aws = |started: &mut Command| {
            started.env("QUIRE_PLATFORM", "aws").env_remove("QUIRE_AWS_BUCKET");
        };
        let refused = quire_with(command, on_aws).await;
        assert!(refused.complaint().contains("QUIRE_AWS_BUCKET is not set"), "{command:?}: {refused:?}");
    }
    let elsewhere = quire(["worker", "--platform", "elsewhere"]).await;
    assert!(elsewhere.stderr.contains("embedded, aws"), "{elsewhere:?}");
}
