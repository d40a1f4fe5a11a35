//! What is refused, and what the message says.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::workbench::{DELIVERS, Workbench};
use crate::pinned::{Member, Part};
use crate::{Condition, NativesError, Progress, install};

/// Every message must tell the way around it.
fn assert_names_the_variables(error: &NativesError) {
    let message = error.to_string();
    for variable in ["ORT_DYLIB_PATH", "QUIRE_PDFIUM_PATH", "QUIRE_MODELS_DIR"] {
        assert!(message.contains(variable), "{variable} is not in: {message}");
    }
}

fn assert_nothing_installed(bench: &Workbench) {
    let findings = bench.sources().verify().expect("it can be looked for");
    assert!(findings.iter().all(|finding| finding.condition == Condition::Missing), "{findings:?}");
    assert_eq!(bench.staging_folders(), 0);
}

#[test]
fn a_corrupt_wheel_is_refused_and_nothing_is_installed() {
    let bench = Workbench::new(DELIVERS);
    let sources = bench.sources();
    let wheel = bench.folder.join("tiny.whl");
    let mut bytes = fs::read(&wheel).expect("it is there");
    bytes[60] ^= 1;
    fs::write(&wheel, bytes).expect("it can be written");

    let error = sources.pdfium(&Progress::Silent).expect_err("it is corrupt");

    assert!(matches!(&error, NativesError::Mismatch { what, .. } if what == "tiny.whl"), "{error}");
    assert_names_the_variables(&error);
    assert_nothing_installed(&bench);
}

#[test]
fn a_member_other_than_the_pinned_one_is_refused_and_nothing_is_installed() {
    let bench = Workbench::new(DELIVERS);
    let pinned = bench.part("pdfium", &["pkg/libpdfium.so"]);
    let right = &pinned.members[0];
    let changed: [Member; 3] = [
        Member { size: right.size - 1, ..*right },
        Member { sha256: pinned.sha256, ..*right },
        Member { archived: "pkg/absent.so", ..*right },
    ];
    for member in changed {
        let archived = member.archived;
        let part = Part { members: vec![member].leak(), ..pinned };
        let python = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake-python3").as_ref();
        let error = install::ensure(&part, &bench.cache(), python, &Progress::Silent).expect_err("it is another");
        assert!(matches!(&error, NativesError::Mismatch { what, .. } if what == archived), "{error}");
        assert_nothing_installed(&bench);
    }
}

#[test]
fn a_file_cut_short_is_fetched_again_and_one_with_other_bytes_is_found_by_its_hash() {
    let bench = Workbench::new(DELIVERS);
    let condition_of_pdfium = || bench.sources().verify().expect("it can be looked for")[1].condition;
    let pdfium = bench.pdfium().expect("pip delivers");
    assert_eq!(condition_of_pdfium(), Condition::Whole);

    fs::write(&pdfium, "PDFIUM").expect("it can be written");
    assert_eq!(condition_of_pdfium(), Condition::Damaged);

    fs::write(&pdfium, "pdf").expect("it can be written");
    assert_eq!(bench.pdfium().expect("pip delivers"), pdfium);
    assert_eq!(condition_of_pdfium(), Condition::Whole);
    assert_eq!((bench.calls().len(), bench.staging_folders()), (2, 0));
}

#[test]
fn a_missing_python_is_named_with_what_to_do() {
    let bench = Workbench::new(DELIVERS);
    let sources = bench.sources_with(&[("QUIRE_PYTHON", Path::new("/nowhere/python3"))]);
    let error = sources.pdfium(&Progress::Silent).expect_err("there is none");
    assert!(matches!(&error, NativesError::PythonMissing { python, .. } if python == "/nowhere/python3"), "{error}");
    assert!(error.to_string().contains("QUIRE_PYTHON"), "{error}");
    assert_names_the_variables(&error);
    assert_nothing_installed(&bench);
}

#[test]
fn a_python_without_pip_is_told_from_a_pip_that_fails() {
    let bench = Workbench::new("echo \"$0: No module named pip\" >&2; exit 1");
    let error = bench.pdfium().expect_err("there is no pip");
    assert!(matches!(error, NativesError::PipMissing { .. }), "{error}");
    assert!(error.to_string().contains("ensurepip"), "{error}");
    assert_names_the_variables(&error);
    assert_nothing_installed(&bench);
}

#[test]
fn a_pip_that_fails_is_quoted_by_its_last_lines_without_secrets() {
    let bench = Workbench::new(
        r#"for line in $(seq 1 20); do echo "line $line" >&2; done
           echo "Looking in indexes: https://me:hunter2@index.example/simple?token=hunter2, b" >&2
           echo "Retrying: /simple/tiny/?token=hunter2" >&2
           echo "ERROR: No matching distribution found" >&2
           exit 23"#,
    );
    let error = bench.pdfium().expect_err("pip fails");
    let NativesError::PipFailed { said, status, .. } = &error else { panic!("another error: {error}") };
    assert!(status.contains("23"), "{status}");
    assert!(said.starts_with("    line 16\n"), "{said}");
    assert!(
        said.ends_with(
            "    Looking in indexes: https://index.example/simple b\n    Retrying: /simple/tiny/\n    ERROR: No matching distribution found"
        ),
        "{said}"
    );
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert_names_the_variables(&error);
    assert_nothing_installed(&bench);
}

#[test]
fn a_pip_that_succeeds_without_a_wheel_is_an_error() {
    let bench = Workbench::new("exit 0");
    let error = bench.pdfium().expect_err("nothing came");
    assert!(matches!(&error, NativesError::PipFailed { said, .. } if said == "    (nothing)"), "{error}");
    assert_nothing_installed(&bench);
}

#[test]
fn a_variable_that_names_nothing_is_an_error_and_no_reason_to_fetch() {
    let bench = Workbench::new(DELIVERS);
    let absent = bench.folder.join("absent");
    for variable in ["ORT_DYLIB_PATH", "QUIRE_PDFIUM_PATH", "QUIRE_MODELS_DIR"] {
        let sources = bench.sources_with(&[(variable, &absent)]);
        let error = match variable {
            "ORT_DYLIB_PATH" => sources.onnxruntime(&Progress::Silent).expect_err("it is not there"),
            "QUIRE_PDFIUM_PATH" => sources.pdfium(&Progress::Silent).expect_err("it is not there"),
            _ => sources.models(&Progress::Silent).map(|_| ()).expect_err("it is not there"),
        };
        assert!(
            matches!(&error, NativesError::Override { variable: named, path } if *named == variable && path.starts_with(&absent)),
            "{error}"
        );
        assert_names_the_variables(&error);
    }
    assert!(bench.calls().is_empty());
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let bench = Workbench::new(DELIVERS);
    let file = bench.folder.join("file");
    fs::write(&file, "").expect("the folder can be written");
    let sources = bench.sources_with(&[("QUIRE_CACHE_DIR", &file.join("cache"))]);
    let error = sources.pdfium(&Progress::Silent).expect_err("a file is no folder");
    assert!(
        matches!(&error, NativesError::Cache { source, .. } if source.kind() == ErrorKind::NotADirectory),
        "{error}"
    );
    assert!(error.to_string().contains("QUIRE_CACHE_DIR"), "{error}");
    assert_names_the_variables(&error);
    assert!(bench.calls().is_empty());
}

#[test]
fn no_cache_folder_and_an_unknown_machine_are_told_with_the_way_around() {
    let bench = Workbench::new(DELIVERS);
    let error = bench.sources_with(&[("QUIRE_CACHE_DIR", Path::new(""))]).pdfium(&Progress::Silent);
    let error = error.expect_err("no folder is named");
    assert!(matches!(error, NativesError::NoCacheFolder), "{error}");
    assert_names_the_variables(&error);

    let sources = bench.try_sources(&[], None).expect("paths can be made absolute");
    let error = sources.onnxruntime(&Progress::Silent).expect_err("none is known");
    assert!(error.to_string().contains("macOS 14 or newer on arm64"), "{error}");
    assert_names_the_variables(&error);
}
