//! A linker that can link against an older C library than this machine's: zig, driven by cargo-zigbuild.

use std::{env, ffi::OsString, fs, path::PathBuf, process::Command};

use anyhow::{Context, ensure};

use crate::root;

/// Wheels of Linux on x86-64, by version and hash: no other is installed.
const REQUIREMENTS: &str = "\
cargo-zigbuild==0.24.0 --hash=sha256:484412e39e4c6039474535ce97ee75a22bab22d58233056f8ec8a8f9034bb957
ziglang==0.16.0 --hash=sha256:9fcda73f62b851dd72a54b710ad40a209896db14cfb13649e62191243556342b
";

/// The two programs.
#[derive(Debug)]
pub(crate) struct Zig {
    pub(crate) cargo_zigbuild: PathBuf,
    pub(crate) zig: PathBuf,
}

impl Zig {
    fn below(folder: &std::path::Path) -> Self {
        Self { cargo_zigbuild: folder.join("bin/cargo-zigbuild"), zig: folder.join("ziglang/zig") }
    }
}

/// Fetches them once, 100 MB, into the build folder: they are of no use to anybody else. `QUIRE_PYTHON` names the Python
/// whose pip does it, `python3` unless it is set.
pub(crate) fn install() -> anyhow::Result<Zig> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let folder = std::path::absolute(target)?.join("zig-0.16.0-zigbuild-0.24.0");
    if !folder.is_dir() {
        fetch(&folder)?;
    }
    Ok(Zig::below(&folder))
}

fn fetch(folder: &std::path::Path) -> anyhow::Result<()> {
    let parent = folder.parent().context("a folder in a folder")?;
    fs::create_dir_all(parent)?;
    let staging = tempfile::Builder::new().prefix(".zig-").tempdir_in(parent)?;
    let requirements = staging.path().join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS)?;
    let unpacked = staging.path().join("unpacked");
    let python = env::var_os("QUIRE_PYTHON").filter(|python| !python.is_empty());
    let status = Command::new(python.unwrap_or_else(|| OsString::from("python3")))
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-input"])
        .args(["--no-cache-dir", "--disable-pip-version-check", "--target"])
        .arg(&unpacked)
        .arg("--requirement")
        .arg(&requirements)
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        // `python -m` looks for modules in the current folder first.
        .current_dir(staging.path())
        .status()
        .context("Python, which fetches zig, cannot be started: install Python 3 with pip, or set QUIRE_PYTHON")?;
    ensure!(status.success(), "zig could not be fetched: pip ended with {status}");
    // Another that fetched at the same time may have been first: either is as good.
    match fs::rename(&unpacked, folder) {
        Err(_) if folder.is_dir() => Ok(()),
        renamed => renamed.with_context(|| format!("{} cannot be made", folder.display())),
    }
}
