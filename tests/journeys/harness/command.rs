//! The command, run to its end.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{process::Command, time::timeout};

use super::{PATIENCE, eventually};

/// The command under test.
pub(crate) const QUIRE: &str = env!("CARGO_BIN_EXE_quire");

/// The same with planted faults; Cargo builds it beside the tests, as an example.
pub(crate) fn faulty() -> PathBuf {
    let folder = Path::new(QUIRE).parent().expect("a program lies in a folder");
    let faulty = folder.join("examples").join(format!("faulty{}", std::env::consts::EXE_SUFFIX));
    assert!(faulty.is_file(), "{} is missing: build it by `cargo build -p quire --example faulty`", faulty.display());
    faulty
}

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// What it printed, when it succeeded.
    pub(crate) fn printed(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }

    /// The one line in which it said why it failed.
    pub(crate) fn complaint(&self) -> &str {
        assert!(self.code.is_some_and(|code| code != 0), "{self:#?}");
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "one clear line: {self:#?}");
        lines[0]
    }
}

/// The name of the dead letter of this kind that is about this task, once it is filed: a moment after the task says so.
pub(crate) async fn dead_letter(kind: &str, task_id: &str, data: &str) -> String {
    eventually("there is a dead letter", || async {
        let listed = quire(["dead-letters", "list", kind, "--data", data]).await.printed();
        listed.split_whitespace().find(|word| word.starts_with(task_id)).map(str::to_owned)
    })
    .await
}

/// Runs `quire` with these arguments.
pub(crate) async fn quire<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Ended {
    quire_with(arguments, |_| {}).await
}

/// Likewise, with changes to how it is started.
pub(crate) async fn quire_with<A: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = A>,
    change: impl FnOnce(&mut Command),
) -> Ended {
    let mut command = Command::new(QUIRE);
    command.args(arguments).stdin(Stdio::null()).env_remove("QUIRE_WEBHOOK_SECRET").kill_on_drop(true);
    change(&mut command);
    let output = timeout(PATIENCE, command.output()).await.unwrap_or_else(|_| panic!("{command:?} does not end"));
    let output = output.expect("the command can be started");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("it prints UTF-8"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
