//! Documents in child processes: ordinary ones, hostile ones, and children that are killed.

mod bombs;
mod containment;
mod fonts;
mod hostile;
mod ordinary;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use quire_document::DocumentLimits;
use quire_native_libs::Progress;
use quire_sandbox::{Sandbox, SandboxLimits, SandboxProgram, run_as_child};

/// The children of these tests are this program, started with this one test.
#[test]
#[ignore = "started as a child process by the other tests"]
fn sandbox_child() {
    run_as_child();
}

/// Returns this program as a child.
fn program() -> SandboxProgram {
    let arguments = ["--exact", "sandbox_child", "--ignored", "--test-threads=1"];
    SandboxProgram {
        path: std::env::current_exe().expect("this program has a path"),
        arguments: arguments.map(Into::into).into(),
    }
}

fn sandbox(limits: SandboxLimits) -> Sandbox {
    Sandbox::new(program(), Some(pdfium()), DocumentLimits::default(), limits)
}

fn pdfium() -> PathBuf {
    quire_native_libs::pdfium(&Progress::Silent).expect("pdfium")
}

/// Limits that a test can wait for.
fn short() -> SandboxLimits {
    SandboxLimits {
        page: Duration::from_secs(1),
        inspection: Duration::from_secs(1),
        memory: 96 << 20,
        children: 2,
        ..SandboxLimits::default()
    }
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples").join(name)
}
