//! Every shell, Python and JSON block is run or parsed, or has a comment with the reason why it is not.

use std::{
    fs::{self, File},
    iter,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    QUIRE, SKIPPED_FOLDERS, assert_no_problems, cargo_commands, documents,
    markdown::{Block, Directive, Document},
    quire_help, root,
    server::{Server, free_port},
};

/// Files do not depend on each other; most of the time is the start of servers.
const FILES_AT_A_TIME: usize = 2;
/// No block takes longer.
const BLOCK_LIMIT: Duration = Duration::from_mins(2);
/// How blocks address the server.
const DOCUMENTED_ADDRESSES: [&str; 2] = ["localhost:8000", "127.0.0.1:8000"];
/// Before each shell block: an HTTP error status is an error.
const PRELUDE: &str = "set -euo pipefail\ncurl() { command curl --silent --show-error --fail-with-body \"$@\"; }\n";
/// An operator's settings of the machine that runs the test; those of native libraries stay.
const UNSET: [&str; 5] = ["QUIRE_ENGINES", "QUIRE_KEYS", "QUIRE_PLATFORM", "QUIRE_POLICY", "QUIRE_WEBHOOK_SECRET"];

#[test]
fn every_block_runs_or_has_a_reason_not_to() {
    let next = Mutex::new(documents().into_iter());
    let take = || next.lock().expect("no thread panicked").next();
    let work = || iter::from_fn(take).flat_map(|document| Session::new().run(&document)).collect::<Vec<_>>();
    let problems = thread::scope(|scope| {
        let threads: Vec<_> = (0..FILES_AT_A_TIME).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no thread panicked")).collect::<Vec<_>>()
    });
    assert_no_problems(&problems);
}

/// A folder in which the blocks of one file run, one after the other.
struct Session {
    folder: TempDir,
    server: Option<Server>,
}

impl Session {
    fn new() -> Self {
        let session = Self { folder: tempfile::tempdir().expect("a temporary folder"), server: None };
        let bin = session.path().join("bin");
        fs::create_dir(&bin).expect("the folder is new");
        symlink(QUIRE, bin.join("quire")).expect("the folder is new");
        // Commands name files of the repository, and write files of their own beside them.
        for entry in fs::read_dir(root()).expect("the root can be listed").flatten() {
            let name = entry.file_name();
            if !SKIPPED_FOLDERS.contains(&&*name.to_string_lossy()) {
                symlink(entry.path(), session.path().join(name)).expect("the folder is new");
            }
        }
        session
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs all blocks; returns what failed.
    fn run(mut self, document: &Document) -> Vec<String> {
        let mut problems = Vec::new();
        for block in &document.blocks {
            let started = Instant::now();
            if let Err(why) = self.run_block(block) {
                problems.push(format!("{}: {why}", block.place));
            }
            eprintln!("{:6.1} s {}", started.elapsed().as_secs_f64(), block.place);
        }
        problems
    }

    fn run_block(&mut self, block: &Block) -> Result<(), String> {
        if let Directive::File(name) = &block.directive {
            fs::write(self.path().join(name), &block.text).expect("the folder can be written");
        }
        match (block.language.as_str(), &block.directive) {
            ("json", _) => self.parse_json(&block.text),
            ("sh", Directive::NotRun) => block.text.lines().try_for_each(check_unrun),
            ("sh", _) => self.run_shell(&block.text),
            ("python", Directive::None | Directive::File(_)) => self.run_python(&block.text),
            ("text", _) | ("python", Directive::NotRun) => Ok(()),
            (other, _) => Err(format!("a block must be sh, python, json or text, not {other:?}")),
        }
    }

    /// A configuration of engines must be one that the program accepts.
    fn parse_json(&self, text: &str) -> Result<(), String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if value.get("routes").is_none() {
            return Ok(());
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        // This command creates the data folder, which `engines` refuses to do.
        self.finish(self.command(QUIRE).args(["webhook-secret", "--data"]).arg(folder.path()))?;
        self.finish(self.command(QUIRE).args(["engines", "list", "--engines", text, "--data"]).arg(folder.path()))
    }

    fn run_shell(&mut self, text: &str) -> Result<(), String> {
        let lines = text.lines().map(|line| Ok(cargo_commands::equivalent(line)?.unwrap_or_else(|| line.to_owned())));
        let script = lines.collect::<Result<Vec<_>, String>>()?.join("\n");
        if script.starts_with("quire serve") {
            // Two servers cannot share a data folder.
            self.server = None;
            let port = free_port();
            // One worker reads these few pages; each further one costs the start of its models.
            let workers = if script.contains("--workers") { "" } else { " --workers 1" };
            let line = format!("{}{workers}", addressed(&script, port));
            let mut bash = self.command("bash");
            bash.arg("-c");
            self.server = Some(Server::start(&line, port, self.path(), bash)?);
            return Ok(());
        }
        let script = format!("{PRELUDE}{}", self.addressed(&script)?);
        self.finish(self.command("bash").arg("-c").arg(script))
    }

    fn run_python(&self, text: &str) -> Result<(), String> {
        let script = self.addressed(text)?;
        self.finish(self.command("python3").env("PYTHONPATH", python_packages()).arg("-c").arg(script))
    }

    /// The script with the address of the running server.
    fn addressed(&self, script: &str) -> Result<String, String> {
        match &self.server {
            Some(server) => Ok(addressed(script, server.port)),
            None if DOCUMENTED_ADDRESSES.iter().any(|address| script.contains(address)) => {
                Err("it needs a server: a block with `quire serve` must precede it".to_owned())
            }
            None => Ok(script.to_owned()),
        }
    }

    /// A command in this session's folder, with its data and programs.
    fn command(&self, program: &str) -> Command {
        let search = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command
            .current_dir(self.path())
            .env("PATH", format!("{}:{search}", self.path().join("bin").display()))
            .env("QUIRE_DATA", self.path().join("data"))
            .env("NO_PROXY", "*")
            .env("NO_COLOR", "1");
        for name in UNSET {
            command.env_remove(name);
        }
        command
    }

    /// Runs a command to its end; its output is the error if it fails or exceeds the limit.
    fn finish(&self, command: &mut Command) -> Result<(), String> {
        let log = self.path().join("block.log");
        let file = File::create(&log).expect("the folder can be written");
        let copy = file.try_clone().expect("a file can be shared");
        let mut child = command.stdin(Stdio::null()).stdout(file).stderr(copy).spawn().expect("the command starts");
        let started = Instant::now();
        let status = loop {
            match child.try_wait().expect("the process can be waited for") {
                Some(status) => break status.to_string(),
                None if started.elapsed() > BLOCK_LIMIT => {
                    child.kill().expect("it is still running");
                    child.wait().expect("it was killed");
                    break format!("over {BLOCK_LIMIT:?}");
                }
                None => thread::sleep(Duration::from_millis(10)),
            }
        };
        if status == "exit status: 0" {
            return Ok(());
        }
        let output = fs::read(&log).unwrap_or_default();
        Err(format!("{status}\n{}", String::from_utf8_lossy(&output)))
    }
}

fn addressed(script: &str, port: u16) -> String {
    let address = format!("127.0.0.1:{port}");
    DOCUMENTED_ADDRESSES.iter().fold(script.to_owned(), |script, documented| script.replace(documented, &address))
}

/// What can be checked of a line that is not run.
fn check_unrun(line: &str) -> Result<(), String> {
    let is_alone = !line.contains("$(");
    if is_alone {
        cargo_commands::equivalent(line)?;
    }
    quire_help::check_line(line)
}

/// A folder with the packages that customers' programs need: those that the journeys pin. Filled on first use.
fn python_packages() -> &'static Path {
    static PACKAGES: OnceLock<PathBuf> = OnceLock::new();
    PACKAGES.get_or_init(|| {
        let requirements = root().join("tests/journeys/requirements.txt");
        let wanted = fs::read(&requirements).expect("the requirements exist");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (packages, filled) = (target.join("documentation-python"), target.join("documentation-python.filled"));
        if fs::read(&filled).ok().as_deref() != Some(&wanted) {
            // Error: the folder does not exist yet.
            let _ = fs::remove_dir_all(&packages);
            let output = Command::new("python3")
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
                .args(["--require-hashes", "--only-binary", ":all:", "--requirement"])
                .arg(&requirements)
                .arg("--target")
                .arg(&packages)
                .envs([("PIP_USER", "0"), ("PIP_REQUIRE_VIRTUALENV", "0")])
                .output()
                .expect("python3 starts");
            assert!(output.status.success(), "pip: {}", String::from_utf8_lossy(&output.stderr));
            fs::write(&filled, &wanted).expect("the target folder can be written");
        }
        packages
    })
}
