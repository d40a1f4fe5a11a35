//! Runs customer-side scripts in Python with third-party packages.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// Runs a script of the journeys and returns the JSON it prints.
pub(crate) fn python(script: &str, arguments: &[&str], input: &str) -> Value {
    let mut child = python_with("requirements.txt")
        .arg(scripts().join(script))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 can be started");
    child.stdin.take().expect("stdin is piped").write_all(input.as_bytes()).expect("the script reads its input");
    let output = child.wait_with_output().expect("the script can be waited for");
    assert!(output.status.success(), "{script} ended with {}", output.status);
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}

/// Returns a command for Python with the packages that this requirements file pins.
pub(crate) fn python_with(requirements: &str) -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", packages(requirements)).env("NO_PROXY", "*");
    command
}

pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/journeys")
}

/// Returns a folder with the packages that a requirements file pins. Installs them on first use, under a lock. Not a
/// virtual environment: some systems do not ship `venv`.
fn packages(requirements: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let name = format!("journeys-{}", requirements.trim_end_matches(".txt"));
    let requirements = scripts().join(requirements);
    let expected_marker = fs::read(&requirements).expect("the requirements file can be read");
    let packages = target.join(&name);
    let marker = target.join(format!("{name}.filled"));
    let lock = File::create(target.join(format!("{name}.lock"))).expect("the lock file can be created");
    lock.lock().expect("the lock file can be locked");
    if fs::read(&marker).ok().as_deref() != Some(&expected_marker) {
        // Fails on first use, when there is no folder.
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
        fs::write(&marker, &expected_marker).expect("the marker can be written");
    }
    packages
}
