//! Runs customer-side scripts in JavaScript with third-party packages.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// The files of the scripts. Node.js resolves packages relative to the script, so the scripts are copied next to them.
const FILES: [&str; 4] = [".npmrc", "package.json", "package-lock.json", "receiver.js"];

/// Runs a script of the folder `node` and returns the JSON it prints.
pub(crate) fn node(script: &str, input: &str) -> Value {
    let mut child = Command::new("node")
        .arg(folder().join(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node can be started: install Node.js 20 or later");
    child.stdin.take().expect("stdin is piped").write_all(input.as_bytes()).expect("the script reads its input");
    let output = child.wait_with_output().expect("the script can be waited for");
    assert!(output.status.success(), "{script} ended with {}", output.status);
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}

/// Returns a folder with the scripts and the packages that `package-lock.json` pins. Installs them on first use, under
/// a lock, since tests run in parallel and in several processes.
fn folder() -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/journeys/node");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let read = |name| fs::read(sources.join(name)).expect("the file is in the repository");
    let expected_marker: Vec<u8> = FILES.iter().flat_map(read).collect();
    let folder = target.join("journeys-node");
    let marker = target.join("journeys-node.filled");
    let lock = File::create(target.join("journeys-node.lock")).expect("the lock file can be created");
    lock.lock().expect("the lock file can be locked");
    if fs::read(&marker).ok().as_deref() != Some(&expected_marker) {
        // Fails on first use, when there is no folder.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("the folder can be created");
        for name in FILES {
            fs::copy(sources.join(name), folder.join(name)).expect("the file can be copied");
        }
        let output = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"])
            .current_dir(&folder)
            .output()
            .expect("npm can be started: install Node.js 20 or later");
        assert!(output.status.success(), "npm: {}", String::from_utf8_lossy(&output.stderr));
        fs::write(&marker, &expected_marker).expect("the marker can be written");
    }
    folder
}
