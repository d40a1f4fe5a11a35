//! Programs of customers, in Python, with packages that we did not write.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// Runs a script that lies beside the tests; what it prints.
pub(crate) fn python(script: &str, arguments: &[&str], input: &str) -> Value {
    let mut child = python_with("requirements.txt")
        .arg(scripts().join(script))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 can be started");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads its input");
    let output = child.wait_with_output().expect("it can be waited for");
    assert!(output.status.success(), "{script} ended with {}", output.status);
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

/// Python with the packages that this file pins.
pub(crate) fn python_with(requirements: &str) -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", packages(requirements)).env("NO_PROXY", "*");
    command
}

pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/journeys")
}

/// A folder with what a file of requirements pins, filled on first use. Not a virtual environment, since some systems leave
/// out what makes one.
fn packages(requirements: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let name = format!("journeys-{}", requirements.trim_end_matches(".txt"));
    let requirements = scripts().join(requirements);
    let wanted = fs::read(&requirements).expect("requirements");
    let (packages, filled) = (target.join(&name), target.join(format!("{name}.filled")));
    let lock = File::create(target.join(format!("{name}.lock"))).expect("a lock");
    lock.lock().expect("it can be locked");
    if fs::read(&filled).ok().as_deref() != Some(&wanted) {
        // There is none the first time.
        let _ = fs::remove_dir_all(&packages);
        let output = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"])
            .args(["--only-binary", ":all:", "--requirement"])
            .arg(&requirements)
            .arg("--target")
            .arg(&packages)
            .envs([("PIP_USER", "0"), ("PIP_REQUIRE_VIRTUALENV", "0")])
            .output()
            .expect("python3 can be started");
        assert!(output.status.success(), "pip: {}", String::from_utf8_lossy(&output.stderr));
        fs::write(&filled, &wanted).expect("a mark");
    }
    packages
}
