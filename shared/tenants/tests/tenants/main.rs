//! API keys, rate limits, quotas and signing secrets on the embedded backend.

mod keys;
mod rate_limits;
mod reservations;
mod signing;

use quire_platform::Backend;
use quire_platform_embedded::Embedded;
use quire_tasks::{Tenant, UnixMillis};
use tempfile::TempDir;

/// A backend in a temporary folder.
struct TestBackend {
    backend: Backend,
    folder: TempDir,
    _embedded: Embedded,
}

impl TestBackend {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let embedded = Embedded::open(folder.path(), "test").expect("open the backend");
        Self { backend: embedded.backend(), folder, _embedded: embedded }
    }

    /// Returns whether any file of the backend contains a text.
    fn holds(&self, text: &str) -> bool {
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("the folder can be read") {
                let entry = entry.expect("an entry");
                let kind = entry.file_type().expect("the file type");
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    let bytes = std::fs::read(entry.path()).expect("the file can be read");
                    if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                        return true;
                    }
                }
            }
        }
        false
    }
}

fn tenant(name: &str) -> Tenant {
    name.parse().expect("a valid tenant name")
}

const fn at_second(second: i64) -> UnixMillis {
    UnixMillis(1_700_000_000_000 + second * 1_000)
}
