//! Packages the programs of this build: the content of the zips, and that the programs start.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use quire_document::DocumentLimits;
use quire_package::{Args, FUNCTIONS, Function, package};
use quire_sandbox::{Sandbox, SandboxLimits, SandboxProgram};
use quire_tasks::{DocumentFormat, SplitDocument};
use tempfile::TempDir;
use zip::ZipArchive;

/// Returns the folder of the programs of this build, two levels above this test.
fn program_folder() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let folder = test.ancestors().nth(2).expect("the build folder").to_owned();
    for Function { name, package, .. } in FUNCTIONS {
        assert!(folder.join(name).is_file(), "{name} is missing: run `cargo build -p {package} --bins`");
    }
    folder
}

/// Packages into a temporary folder; returns the folder and the result.
fn package_into_folder(bins: PathBuf, for_this_machine: bool) -> (TempDir, anyhow::Result<Vec<(PathBuf, u64)>>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let made = package(&Args { out: folder.path().join("build"), bins: Some(bins), for_this_machine });
    (folder, made)
}

/// Unpacks a zip like Lambda. Returns the names and permissions of its entries.
fn unpack(zip: &Path, into: &Path) -> Vec<(String, u32)> {
    let mut archive = ZipArchive::new(File::open(zip).expect("the zip exists")).expect("the zip is valid");
    let mut found = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).expect("an entry");
        found.push((entry.name().expect("a name").into_owned(), entry.unix_mode().expect("permissions") & 0o777));
    }
    archive.extract(into).expect("the entry is unpacked");
    found
}

fn run(bootstrap: &Path) -> Output {
    // Without environment variables: the zip must contain everything that is needed.
    Command::new(bootstrap).env_clear().output().expect("the program starts")
}

/// Inspects a PDF like the function: in a child process that is the unpacked program, with the unpacked pdfium.
async fn inspect(folder: &Path, pdf: &Path) -> SplitDocument {
    let program = SandboxProgram::at(folder.join("bootstrap"));
    let pdfium = Some(folder.join("libpdfium.so"));
    // A debug build on a busy machine.
    let limits = SandboxLimits { inspection: Duration::from_mins(1), ..SandboxLimits::default() };
    let sandbox = Sandbox::new(program, pdfium, DocumentLimits::default(), limits);
    sandbox.inspect(pdf).await.expect("the child inspects the document")
}

#[tokio::test]
async fn each_zip_has_a_program_that_starts_and_pdfium_if_needed() {
    let programs = program_folder();
    let (folder, made) = package_into_folder(programs.clone(), true);
    let made = made.expect("packaging succeeds");
    let names: Vec<_> = made.iter().map(|(path, _)| path.file_stem().expect("a name").to_owned()).collect();
    assert_eq!(names, FUNCTIONS.map(|function| function.name));
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/invoice.pdf");
    for (Function { name, pdfium, .. }, (zip, bytes)) in FUNCTIONS.into_iter().zip(made) {
        assert_eq!(fs::metadata(&zip).expect("the zip exists").len(), bytes);
        let unpacked = folder.path().join(name);
        let mut expected = vec![("bootstrap".to_owned(), 0o755)];
        expected.extend(pdfium.then(|| ("libpdfium.so".to_owned(), 0o644)));
        assert_eq!(unpack(&zip, &unpacked), expected, "{name}");
        let bootstrap = unpacked.join("bootstrap");
        let mut program = Vec::new();
        File::open(programs.join(name)).expect("the program").read_to_end(&mut program).expect("read");
        assert!(fs::read(&bootstrap).expect("the entry is unpacked") == program, "{name} is a different program");
        let refused = run(&bootstrap);
        let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && stderr.contains("QUIRE_AWS_BUCKET"), "{name}: {stderr}");
        if pdfium {
            let expected = SplitDocument { format: DocumentFormat::Pdf, pages: 2 };
            assert_eq!(inspect(&unpacked, &sample).await, expected, "{name}");
        }
    }
}

#[test]
fn a_missing_program_is_reported_with_its_build_command() {
    let empty = tempfile::tempdir().expect("a temporary folder");
    let (_folder, made) = package_into_folder(empty.path().to_owned(), false);
    let refused = format!("{:#}", made.expect_err("a program is missing"));
    assert!(refused.contains("submit-api is missing: run `cargo build -p quire-submit --bins`"), "{refused}");
}

#[test]
fn a_file_that_lambda_cannot_load_is_not_packaged() {
    let scripts = tempfile::tempdir().expect("a temporary folder");
    for Function { name, .. } in FUNCTIONS {
        fs::write(scripts.path().join(name), "#!/bin/sh\n").expect("a script");
    }
    let (folder, made) = package_into_folder(scripts.path().to_owned(), false);
    let refused = format!("{:#}", made.expect_err("scripts are rejected"));
    assert!(refused.contains("Lambda cannot load") && refused.contains("not a 64-bit ELF file"), "{refused}");
    assert!(!folder.path().join("build").exists());
}
