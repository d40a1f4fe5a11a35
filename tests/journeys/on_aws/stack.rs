//! A stack on an emulator: brought up by `localstack/up`, and gone with this program, however it ends.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::SystemTime,
};

use serde_json::json;

use crate::harness::{Api, Ended, QUIRE, eventually, free_port, quire_with, routed, written};

use super::worker::Worker;

/// What its last line begins with.
const COMPLETE: &str = "# The API: ";
/// Where [`super::inbox`] has its receiver.
const INBOX_PATH: &str = "/inbox";
/// The programs in the zips, and what they are made of beside `shared`.
const FUNCTIONS: [(&str, &str); 6] = [
    ("submit-api", "submit"),
    ("submit-upload", "submit"),
    ("submit-ingest", "submit"),
    ("submit-sweep", "submit"),
    ("notifier", "notifier"),
    ("dead-letter", "dead-letter"),
];

static SHARED: OnceLock<Stack> = OnceLock::new();
static POISONED: OnceLock<Stack> = OnceLock::new();

/// Brings up in the background what takes its time. The programs must be there.
pub(crate) fn begin() {
    functions_are_built(bins());
    thread::spawn(shared);
    thread::spawn(poisoned);
}

fn shared() -> &'static Stack {
    SHARED.get_or_init(|| Stack::start("shared", Made::AsDeployed))
}

fn poisoned() -> &'static Stack {
    POISONED.get_or_init(|| Stack::start("poisoned", Made::AsDeployed))
}

/// What makes the queues, the functions and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// Terraform, of `infra/`. Where there is none, the small step that stands in for it, and it says so on the terminal.
    AsDeployed,
    /// The small step: for a stack that is only there to be apart from the others.
    Quickly,
}

/// A stack that is up. A worker reads only on the one that all share.
#[derive(Debug)]
pub(super) struct Stack {
    pub(super) folder: PathBuf,
    pub(super) inbox_port: u16,
    /// Where it looks for the server that reads markdown, if it is the shared one.
    pub(super) model_port: u16,
    environment: BTreeMap<String, String>,
    reader: Option<Worker>,
    up: Child,
}

impl Stack {
    /// The one for all who harm nobody; a worker reads there.
    pub(super) async fn shared() -> &'static Self {
        tokio::task::spawn_blocking(shared).await.expect("the stack is up")
    }

    /// The one for the page that kills its workers.
    pub(super) async fn poisoned() -> &'static Self {
        tokio::task::spawn_blocking(poisoned).await.expect("the stack is up")
    }

    /// One for a single test.
    pub(super) async fn apart(name: &'static str) -> Self {
        tokio::task::spawn_blocking(|| Self::start(name, Made::Quickly)).await.expect("the stack is up")
    }

    fn start(name: &str, made: Made) -> Self {
        functions_are_built(bins());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("on-aws-{name}"));
        // What an earlier run left; there is none the first time.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        let quickly = made == Made::Quickly || std::env::var_os("QUIRE_TEST_WITHOUT_TERRAFORM").is_some();
        let [port, inbox_port, model_port] = std::array::from_fn(|_| free_port());
        let mut command = Command::new("python3");
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../localstack/up"))
            .args(["--tied", "--port", &port.to_string(), "--folder"])
            .arg(&folder)
            .arg("--bins")
            .arg(bins())
            .arg(format!("--inbox-callback-url=http://127.0.0.1:{inbox_port}{INBOX_PATH}"))
            .args(quickly.then_some("--without-terraform"))
            .args((name == "shared").then(|| format!("--engines={}", engines(&folder, model_port).display())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if made == Made::Quickly {
            // Nobody wanted Terraform: nothing is worth saying.
            command.stderr(File::create(folder.join("up.stderr")).expect("a log"));
        }
        let mut up = command.spawn().expect("python3 can be started");
        let printed = BufReader::new(up.stdout.take().expect("it is piped"));
        let environment = environment(printed).unwrap_or_else(|| panic!("no stack: see {}", folder.display()));
        let mut stack = Self { folder, inbox_port, model_port, environment, reader: None, up };
        if name == "shared" {
            stack.reader = Some(Worker::start(&stack, Path::new(QUIRE), &[]));
        }
        stack
    }

    /// What its clients find in their environment.
    pub(super) fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    pub(super) fn variable(&self, name: &str) -> &str {
        self.environment.get(name).unwrap_or_else(|| panic!("no {name} in {:#?}", self.environment))
    }

    /// Where its API says it is. No name server knows that name.
    pub(super) fn public_url(&self) -> &str {
        self.variable("QUIRE_API")
    }

    /// The API by another way in, which the emulator has for those who cannot resolve its name.
    pub(super) fn api(&self) -> Api {
        let host = self.public_url().trim_start_matches("http://");
        let id = host.split('.').next().expect("a name begins with something");
        Api::new(format!("{}/_aws/execute-api/{id}/$default", self.variable("AWS_ENDPOINT_URL")))
    }

    /// Runs `quire` on it.
    pub(super) async fn quire(&self, arguments: &[&str]) -> Ended {
        quire_with(arguments, |command| {
            command.envs(&self.environment);
        })
        .await
    }

    /// The name of the dead letter of this kind that is about this task, once it is filed.
    pub(super) async fn dead_letter(&self, kind: &str, task_id: &str) -> String {
        eventually("there is a dead letter", || async {
            let listed = self.quire(&["dead-letters", "list", kind]).await.printed();
            listed.split_whitespace().find(|word| word.starts_with(task_id)).map(str::to_owned)
        })
        .await
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        drop(self.reader.take());
        drop(self.up.stdin.take());
        self.up.wait().expect("it can be waited for");
    }
}

/// Text is read by PP-OCR, as without a configuration; markdown by a server.
fn engines(folder: &Path, model_port: u16) -> PathBuf {
    let server = json!({
        "kind": "openai", "url": format!("http://127.0.0.1:{model_port}/v1"), "model": "a/model", "dialect": "vllm",
    });
    let engines = json!({ "pp-ocr@v6-small": { "kind": "pp-ocr" }, "a@1": server });
    let routes = json!([
        { "modes": ["text"], "primary": "pp-ocr@v6-small" },
        { "modes": ["markdown"], "primary": "a@1", "review_below": 0.6 },
    ]);
    written(folder, &routed(&engines, &routes))
}

/// What it prints, up to the line that says that it is all; `None` if it ends before.
fn environment(printed: impl BufRead) -> Option<BTreeMap<String, String>> {
    let mut environment = BTreeMap::new();
    for line in printed.lines() {
        let line = line.expect("it prints UTF-8");
        if line.starts_with(COMPLETE) {
            return Some(environment);
        }
        let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
        environment.insert(name.to_owned(), value.trim_matches('\'').to_owned());
    }
    None
}

fn bins() -> &'static Path {
    Path::new(QUIRE).parent().expect("a program lies in a folder")
}

/// Cargo builds the programs of all packages when it tests the workspace, but not when it runs these tests alone.
fn functions_are_built(bins: &Path) {
    const BUILD: &str = "build them as `cargo test --workspace --no-run` does";
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (name, package) in FUNCTIONS {
        let program = bins.join(name);
        assert!(program.is_file(), "{} is missing: {BUILD}", program.display());
        let sources = newest(&packages.join(package).join("src"));
        assert!(sources <= modified(&program), "{} is older than its sources: {BUILD}", program.display());
    }
}

fn newest(folder: &Path) -> SystemTime {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let times = entries.map(|path| if path.is_dir() { newest(&path) } else { modified(&path) });
    times.max().expect("a folder with something in it")
}

fn modified(path: &Path) -> SystemTime {
    path.metadata().and_then(|metadata| metadata.modified()).expect("its time is known")
}
