//! The embedded home: what every home promises, and what is its own.

use quire_platform::{Embedded, Home, conformance};
use tempfile::TempDir;

mod crash;
mod limits;
mod model;
mod sharing;

async fn open() -> (Home, (TempDir, Embedded)) {
    let dir = TempDir::new().expect("a folder");
    let embedded = Embedded::open_with(dir.path(), "test", conformance::settings).expect("a home");
    (embedded.home(), (dir, embedded))
}

conformance::every_home_promises!(open);
