//! The zips of the programs that this build has made: what they hold, and that it runs.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use quire_package::{Args, FUNCTIONS, Function, package};
use tempfile::TempDir;
use zip::ZipArchive;

/// Where Cargo puts the programs of this build: two folders above this test.
fn programs() -> PathBuf {
    let test = std::env::current_exe().expect("this test's own file");
    let folder = test.ancestors().nth(2).expect("the folder of the build").to_owned();
    for Function { name, package, .. } in FUNCTIONS {
        assert!(folder.join(name).is_file(), "build the functions first: cargo build -p {package} --bins makes {name}");
    }
    folder
}

fn zips(bins: PathBuf, for_this_machine: bool) -> (TempDir, anyhow::Result<Vec<(PathBuf, u64)>>) {
    let folder = tempfile::tempdir().expect("a folder");
    let made = package(&Args { out: folder.path().join("build"), bins: Some(bins), for_this_machine });
    (folder, made)
}

/// Unpacks a zip as Lambda does; the names and permissions in it.
fn unpack(zip: &Path, into: &Path) -> Vec<(String, u32)> {
    let mut archive = ZipArchive::new(File::open(zip).expect("the zip")).expect("a zip");
    let mut found = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).expect("an entry");
        found.push((entry.name().expect("a name").into_owned(), entry.unix_mode().expect("permissions") & 0o777));
    }
    archive.extract(into).expect("unpacked");
    found
}

fn run(bootstrap: &Path, arguments: &[&Path]) -> Output {
    let mut command = Command::new(bootstrap);
    // Nothing of this machine's: the zip holds all that is needed.
    command.args(arguments).env_clear().output().expect("it starts")
}

#[test]
fn each_zip_holds_a_program_that_starts_and_pdfium_where_pdfs_are_opened() {
    let programs = programs();
    let (folder, made) = zips(programs.clone(), true);
    let made = made.expect("zips");
    let names: Vec<_> = made.iter().map(|(path, _)| path.file_stem().expect("a name").to_owned()).collect();
    assert_eq!(names, FUNCTIONS.map(|function| function.name));
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/invoice.pdf");
    for (Function { name, pdfium, .. }, (zip, bytes)) in FUNCTIONS.into_iter().zip(made) {
        assert_eq!(fs::metadata(&zip).expect("the zip").len(), bytes);
        let unpacked = folder.path().join(name);
        let mut expected = vec![("bootstrap".to_owned(), 0o755)];
        expected.extend(pdfium.then(|| ("libpdfium.so".to_owned(), 0o644)));
        assert_eq!(unpack(&zip, &unpacked), expected, "{name}");
        let bootstrap = unpacked.join("bootstrap");
        let mut program = Vec::new();
        File::open(programs.join(name)).expect("the program").read_to_end(&mut program).expect("read");
        assert!(fs::read(&bootstrap).expect("unpacked") == program, "{name} is another program");
        let refused = run(&bootstrap, &[]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("QUIRE_AWS_BUCKET"), "{name} said {said}");
        if pdfium {
            let found = String::from_utf8_lossy(&run(&bootstrap, &["inspect".as_ref(), &sample]).stdout).into_owned();
            assert_eq!(found, r#"{"Ok":{"format":"pdf","pages":2}}"#, "{name}");
        }
    }
}

#[test]
fn a_program_that_is_missing_is_named_with_what_makes_it() {
    let empty = tempfile::tempdir().expect("a folder");
    let (_folder, made) = zips(empty.path().to_owned(), false);
    let refused = format!("{:#}", made.expect_err("nothing is there"));
    assert!(refused.contains("submit-api is missing: cargo build -p quire-submit --bins"), "{refused}");
}

#[test]
fn what_lambda_cannot_load_does_not_become_a_zip() {
    let scripts = tempfile::tempdir().expect("a folder");
    for Function { name, .. } in FUNCTIONS {
        fs::write(scripts.path().join(name), "#!/bin/sh\n").expect("a script");
    }
    let (folder, made) = zips(scripts.path().to_owned(), false);
    let refused = format!("{:#}", made.expect_err("scripts"));
    assert!(refused.contains("Lambda cannot load") && refused.contains("no ELF file"), "{refused}");
    assert!(!folder.path().join("build").exists());
}
