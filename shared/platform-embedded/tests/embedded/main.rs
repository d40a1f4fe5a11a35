//! The embedded backend: the conformance suite, and its own guarantees.

use quire_platform::{Backend, conformance};
use quire_platform_embedded::Embedded;
use tempfile::TempDir;

mod crash;
mod deletion;
mod full_disk;
mod limits;
mod model;
mod sharing;

async fn open() -> (Backend, (TempDir, Embedded)) {
    let dir = TempDir::new().expect("a folder");
    let embedded = Embedded::open_with(dir.path(), "test", conformance::settings).expect("open the backend");
    (embedded.backend(), (dir, embedded))
}

conformance::conformance_tests!(open);
