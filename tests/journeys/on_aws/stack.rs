//! A stack on an AWS emulator. `localstack/up` starts it, and stops it when its standard input closes: also after a
//! crash of this process.

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

use crate::harness::{ApiClient, CommandOutput, QUIRE, engine_config, eventually, free_port, quire_with, write_config};

use super::stack_worker::StackWorker;

/// The start of the last line that `localstack/up` prints.
const READY_PREFIX: &str = "# The API: ";
/// The path of the callback receiver in [`super::uploads`].
const UPLOAD_CALLBACK_PATH: &str = "/inbox";
/// The program of each Lambda function, and the folder of its package in `functions`.
const FUNCTIONS: [(&str, &str); 6] = [
    ("submit-api", "submit"),
    ("submit-upload", "submit"),
    ("submit-ingest", "submit"),
    ("submit-sweep", "submit"),
    ("notifier", "notifier"),
    ("dead-letter", "dead-letter"),
];

static SHARED: OnceLock<EmulatedStack> = OnceLock::new();
static POISONED: OnceLock<EmulatedStack> = OnceLock::new();

/// Starts the shared stacks in the background. Panics unless the functions are built.
pub(crate) fn start_stacks() {
    assert_functions_are_built(bins());
    thread::spawn(shared);
    thread::spawn(poisoned);
}

fn shared() -> &'static EmulatedStack {
    SHARED.get_or_init(|| EmulatedStack::start("shared", Provisioning::Terraform))
}

fn poisoned() -> &'static EmulatedStack {
    POISONED.get_or_init(|| EmulatedStack::start("poisoned", Provisioning::Terraform))
}

/// How the resources of a stack are created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Provisioning {
    /// By Terraform from `infra/`. Without Terraform on this machine, by the script, with a warning.
    Terraform,
    /// By a script, which is faster: for stacks that isolate a single test.
    Script,
}

/// A running stack. Only the shared one has a worker from the start.
#[derive(Debug)]
pub(super) struct EmulatedStack {
    pub(super) folder: PathBuf,
    pub(super) upload_callback_port: u16,
    /// The port of the model server that reads markdown, on the shared stack.
    pub(super) model_port: u16,
    environment: BTreeMap<String, String>,
    reader: Option<StackWorker>,
    up: Child,
}

impl EmulatedStack {
    /// Returns the stack that all tests share which do not kill workers. It has a worker.
    pub(super) async fn shared() -> &'static Self {
        tokio::task::spawn_blocking(shared).await.expect("the stack starts")
    }

    /// Returns the stack for the page that crashes its workers.
    pub(super) async fn poisoned() -> &'static Self {
        tokio::task::spawn_blocking(poisoned).await.expect("the stack starts")
    }

    /// Starts a stack for a single test.
    pub(super) async fn apart(name: &'static str) -> Self {
        tokio::task::spawn_blocking(|| Self::start(name, Provisioning::Script)).await.expect("the stack starts")
    }

    fn start(name: &str, provisioning: Provisioning) -> Self {
        assert_functions_are_built(bins());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("on-aws-{name}"));
        // Deletes the files of an earlier run; fails if there are none.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a temporary folder");
        let by_script =
            provisioning == Provisioning::Script || std::env::var_os("QUIRE_TEST_WITHOUT_TERRAFORM").is_some();
        let [port, upload_callback_port, model_port] = std::array::from_fn(|_| free_port());
        let mut command = Command::new("python3");
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../localstack/up"))
            .args(["--tied", "--port", &port.to_string(), "--folder"])
            .arg(&folder)
            .arg("--bins")
            .arg(bins())
            .arg(format!("--inbox-callback-url=http://127.0.0.1:{upload_callback_port}{UPLOAD_CALLBACK_PATH}"))
            .args(by_script.then_some("--without-terraform"))
            .args((name == "shared").then(|| format!("--engines={}", write_engines(&folder, model_port).display())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if provisioning == Provisioning::Script {
            // Hides the warning that Terraform is not used.
            command.stderr(File::create(folder.join("up.stderr")).expect("the log can be created"));
        }
        let mut up = command.spawn().expect("python3 can be started");
        let printed = BufReader::new(up.stdout.take().expect("stdout is piped"));
        let environment =
            read_environment(printed).unwrap_or_else(|| panic!("the stack does not start: see {}", folder.display()));
        let mut stack = Self { folder, upload_callback_port, model_port, environment, reader: None, up };
        if name == "shared" {
            stack.reader = Some(StackWorker::start(&stack, Path::new(QUIRE), &[]));
        }
        stack
    }

    /// Returns the environment variables for clients of the stack.
    pub(super) fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    pub(super) fn variable(&self, name: &str) -> &str {
        self.environment.get(name).unwrap_or_else(|| panic!("no {name} in {:#?}", self.environment))
    }

    /// Returns the URL that the API uses in links. Its host name does not resolve.
    pub(super) fn public_url(&self) -> &str {
        self.variable("QUIRE_API")
    }

    /// Returns a client of the API, by a URL of the emulator that needs no name resolution.
    pub(super) fn api(&self) -> ApiClient {
        let host = self.public_url().trim_start_matches("http://");
        let id = host.split('.').next().expect("a host name has a first label");
        ApiClient::new(format!("{}/_aws/execute-api/{id}/$default", self.variable("AWS_ENDPOINT_URL")))
    }

    /// Runs `quire` with the environment of the stack.
    pub(super) async fn quire(&self, arguments: &[&str]) -> CommandOutput {
        quire_with(arguments, |command| {
            command.envs(&self.environment);
        })
        .await
    }

    /// Waits until a dead letter of this kind is filed for the task, and returns its name.
    pub(super) async fn await_dead_letter(&self, kind: &str, task_id: &str) -> String {
        eventually("a dead letter is filed", || async {
            let listed = self.quire(&["dead-letters", "list", kind]).await.expect_stdout();
            listed.split_whitespace().find(|word| word.starts_with(task_id)).map(str::to_owned)
        })
        .await
    }
}

impl Drop for EmulatedStack {
    fn drop(&mut self) {
        drop(self.reader.take());
        drop(self.up.stdin.take());
        self.up.wait().expect("the process can be waited for");
    }
}

/// Writes an engine configuration: PP-OCR reads text, as by default, and a model server reads markdown.
fn write_engines(folder: &Path, model_port: u16) -> PathBuf {
    let server = json!({
        "kind": "openai", "url": format!("http://127.0.0.1:{model_port}/v1"), "model": "a/model", "dialect": "vllm",
    });
    let engines = json!({ "pp-ocr@v6-small": { "kind": "pp-ocr" }, "a@1": server });
    let routes = json!([
        { "modes": ["text"], "primary": "pp-ocr@v6-small" },
        { "modes": ["markdown"], "primary": "a@1", "review_below": 0.6 },
    ]);
    write_config(folder, &engine_config(&engines, &routes))
}

/// Parses the `export` lines of `localstack/up` until the last line; `None` if the output ends before.
fn read_environment(printed: impl BufRead) -> Option<BTreeMap<String, String>> {
    let mut environment = BTreeMap::new();
    for line in printed.lines() {
        let line = line.expect("the output is UTF-8");
        if line.starts_with(READY_PREFIX) {
            return Some(environment);
        }
        let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
        environment.insert(name.to_owned(), value.trim_matches('\'').to_owned());
    }
    None
}

fn bins() -> &'static Path {
    Path::new(QUIRE).parent().expect("a program is in a folder")
}

/// Asserts that the programs of the functions exist and are newer than their sources. Cargo builds them when it tests
/// the workspace, but not when it runs only these tests.
fn assert_functions_are_built(bins: &Path) {
    const BUILD: &str = "build them as `cargo test --workspace --no-run` does";
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (name, package) in FUNCTIONS {
        let program = bins.join(name);
        assert!(program.is_file(), "{} is missing: {BUILD}", program.display());
        let sources = newest_modification(&packages.join(package).join("src"));
        assert!(sources <= modification_time(&program), "{} is older than its sources: {BUILD}", program.display());
    }
}

fn newest_modification(folder: &Path) -> SystemTime {
    let entries =
        fs::read_dir(folder).expect("a temporary folder").map(|entry| entry.expect("the entry can be read").path());
    let times = entries.map(|path| if path.is_dir() { newest_modification(&path) } else { modification_time(&path) });
    times.max().expect("the folder is not empty")
}

fn modification_time(path: &Path) -> SystemTime {
    path.metadata().and_then(|metadata| metadata.modified()).expect("the modification time can be read")
}
