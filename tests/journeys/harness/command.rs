//! Runs the `quire` command until it exits.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{process::Command, time::timeout};

use super::{TIMEOUT, eventually};

/// The path of the command under test.
pub(crate) const QUIRE: &str = env!("CARGO_BIN_EXE_quire");

/// Returns the path of the `faulty` example: the same command with injected faults.
pub(crate) fn faulty_quire() -> PathBuf {
    let folder = Path::new(QUIRE).parent().expect("a program is in a folder");
    let faulty = folder.join("examples").join(format!("faulty{}", std::env::consts::EXE_SUFFIX));
    assert!(faulty.is_file(), "{} is missing: build it by `cargo build -p quire --example faulty`", faulty.display());
    faulty
}

/// The exit code and the output of a command.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl CommandOutput {
    /// Returns stdout. Panics unless the command succeeded.
    pub(crate) fn expect_stdout(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }

    /// Returns the error message. Panics unless the command failed with exactly one line on stderr.
    pub(crate) fn expect_error_line(&self) -> &str {
        assert!(self.code.is_some_and(|code| code != 0), "{self:#?}");
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "the error is one line: {self:#?}");
        lines[0]
    }
}

/// Waits until a dead letter of this kind is filed for the task, and returns its name. It is filed after the task ends.
pub(crate) async fn await_dead_letter(kind: &str, task_id: &str, data: &str) -> String {
    eventually("a dead letter is filed", || async {
        let listed = quire(["dead-letters", "list", kind, "--data", data]).await.expect_stdout();
        listed.split_whitespace().find(|word| word.starts_with(task_id)).map(str::to_owned)
    })
    .await
}

/// Runs `quire` with these arguments, without `QUIRE_WEBHOOK_SECRET`. Fails after [`TIMEOUT`].
pub(crate) async fn quire<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> CommandOutput {
    quire_with(arguments, |_| {}).await
}

/// Runs `quire` like [`quire`], after `change` has adapted the command.
pub(crate) async fn quire_with<A: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = A>,
    change: impl FnOnce(&mut Command),
) -> CommandOutput {
    let mut command = Command::new(QUIRE);
    command.args(arguments).stdin(Stdio::null()).env_remove("QUIRE_WEBHOOK_SECRET").kill_on_drop(true);
    change(&mut command);
    let output =
        timeout(TIMEOUT, command.output()).await.unwrap_or_else(|_| panic!("timeout: {command:?} does not exit"));
    let output = output.expect("the command can be started");
    CommandOutput {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("the output is UTF-8"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
