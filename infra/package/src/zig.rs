//! Installs zig and cargo-zigbuild, which link against an older glibc than that of this machine.

use std::{env, ffi::OsString, fs, path::PathBuf, process::Command};

use anyhow::{Context, ensure};

use crate::functions::repository;

/// Pinned wheels for Linux x86-64, with their hashes.
const REQUIREMENTS: &str = "\
cargo-zigbuild==0.24.0 --hash=sha256:484412e39e4c6039474535ce97ee75a22bab22d58233056f8ec8a8f9034bb957
ziglang==0.16.0 --hash=sha256:9fcda73f62b851dd72a54b710ad40a209896db14cfb13649e62191243556342b
";

/// The installed programs.
#[derive(Debug)]
pub(crate) struct Zig {
    pub(crate) cargo_zigbuild: PathBuf,
    pub(crate) zig: PathBuf,
}

impl Zig {
    fn in_folder(folder: &std::path::Path) -> Self {
        Self { cargo_zigbuild: folder.join("bin/cargo-zigbuild"), zig: folder.join("ziglang/zig") }
    }
}

/// Installs the wheels once (100 MB), with pip, into the target folder. `QUIRE_PYTHON` is the Python to use; default:
/// `python3`.
pub(crate) fn install() -> anyhow::Result<Zig> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    let folder = std::path::absolute(target)?.join("zig-0.16.0-zigbuild-0.24.0");
    if !folder.is_dir() {
        download(&folder)?;
    }
    Ok(Zig::in_folder(&folder))
}

fn download(folder: &std::path::Path) -> anyhow::Result<()> {
    let parent = folder.parent().context("the folder has a parent")?;
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
        // `python -m` searches modules in the current directory first.
        .current_dir(staging.path())
        .status()
        .context("cannot start Python to install zig: install Python 3 with pip, or set QUIRE_PYTHON")?;
    ensure!(status.success(), "cannot install zig: pip exited with {status}");
    // A concurrent process may have installed the same files first.
    match fs::rename(&unpacked, folder) {
        Err(_) if folder.is_dir() => Ok(()),
        renamed => renamed.with_context(|| format!("cannot create {}", folder.display())),
    }
}
