//! Programs of customers, in JavaScript, with packages that we did not write.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// What a script needs beside it. A module finds its packages by where it lies itself, so that it is copied there.
const FILES: [&str; 4] = [".npmrc", "package.json", "package-lock.json", "receiver.js"];

/// Runs a script of the folder `node`; what it prints.
pub(crate) fn node(script: &str, input: &str) -> Value {
    let mut child = Command::new("node")
        .arg(folder().join(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node can be started: install Node.js 20 or later");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads its input");
    let output = child.wait_with_output().expect("it can be waited for");
    assert!(output.status.success(), "{script} ended with {}", output.status);
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

/// The folder of scripts, with the packages that `package-lock.json` pins, filled on first use.
fn folder() -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/journeys/node");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let read = |name| fs::read(sources.join(name)).expect("it is in the repository");
    let wanted: Vec<u8> = FILES.iter().flat_map(read).collect();
    let (folder, filled) = (target.join("journeys-node"), target.join("journeys-node.filled"));
    let lock = File::create(target.join("journeys-node.lock")).expect("a lock");
    lock.lock().expect("it can be locked");
    if fs::read(&filled).ok().as_deref() != Some(&wanted) {
        // There is none the first time.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        for name in FILES {
            fs::copy(sources.join(name), folder.join(name)).expect("it is copied");
        }
        let output = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"])
            .current_dir(&folder)
            .output()
            .expect("npm can be started: install Node.js 20 or later");
        assert!(output.status.success(), "npm: {}", String::from_utf8_lossy(&output.stderr));
        fs::write(&filled, &wanted).expect("a mark");
    }
    folder
}
