//! Programs of customers, in Python, with packages that we did not write.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// Runs a script that lies beside the tests; what it prints.
pub(crate) fn python(script: &str, arguments: &[&str], input: &str) -> Value {
    let mut child = Command::new(interpreter())
        .arg(scripts().join(script))
        .args(arguments)
        .env("NO_PROXY", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python can be started");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads its input");
    let output = child.wait_with_output().expect("it can be waited for");
    assert!(output.status.success(), "{script} ended with {}", output.status);
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/journeys")
}

/// The interpreter of an environment of its own, made on first use with what `requirements.txt` pins.
fn interpreter() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let requirements = scripts().join("requirements.txt");
    let wanted = std::fs::read(&requirements).expect("requirements");
    let environment = target.join("journeys-python");
    let (python, done) = (environment.join("bin/python"), environment.join("requirements-met"));
    let lock = File::create(target.join("journeys-python.lock")).expect("a lock");
    lock.lock().expect("it can be locked");
    if std::fs::read(&done).ok().as_deref() != Some(&wanted) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment));
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        let only_pinned = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--requirement"];
        run(Command::new(&python).args(pip).args(only_pinned).arg(&requirements));
        std::fs::write(&done, &wanted).expect("a mark");
    }
    python
}

fn run(command: &mut Command) {
    let output = command.output().expect("python3 can be started");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
