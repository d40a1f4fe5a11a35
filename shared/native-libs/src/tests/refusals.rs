//! Refused downloads and their messages.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use super::fixture::{DELIVERS, FOLDER_VARIABLE, Fixture, child, stderr_of};
use crate::pinned::{PinnedWheel, WheelMember};
use crate::{FileCondition, NativeLibsError, Progress, install};

/// Every message must name the workaround.
fn assert_names_the_variables(error: &NativeLibsError) {
    let message = error.to_string();
    for variable in ["ORT_DYLIB_PATH", "QUIRE_PDFIUM_PATH", "QUIRE_MODELS_DIR"] {
        assert!(message.contains(variable), "{variable} is not in: {message}");
    }
}

fn assert_nothing_installed(fixture: &Fixture) {
    let checks = fixture.sources().verify().expect("the cache folder is known");
    assert!(checks.iter().all(|check| check.condition == FileCondition::Missing), "{checks:?}");
    assert_eq!(fixture.staging_folders(), 0);
}

#[test]
fn a_corrupt_wheel_is_refused() {
    let fixture = Fixture::new(DELIVERS);
    let sources = fixture.sources();
    let wheel = fixture.folder.join("tiny.whl");
    let mut bytes = fs::read(&wheel).expect("it is there");
    bytes[60] ^= 1;
    fs::write(&wheel, bytes).expect("it can be written");

    let error = sources.pdfium(&Progress::Silent).expect_err("it is corrupt");

    assert!(matches!(&error, NativeLibsError::Mismatch { what, .. } if what == "tiny.whl"), "{error}");
    assert_names_the_variables(&error);
    assert_nothing_installed(&fixture);
}

#[test]
fn a_member_that_is_not_the_pinned_one_is_refused() {
    let fixture = Fixture::new(DELIVERS);
    let pinned = fixture.part("pdfium", &["pkg/libpdfium.so"]);
    let right = &pinned.members[0];
    let changed: [WheelMember; 3] = [
        WheelMember { size: right.size - 1, ..*right },
        WheelMember { sha256: pinned.sha256, ..*right },
        WheelMember { archived: "pkg/absent.so", ..*right },
    ];
    for member in changed {
        let archived = member.archived;
        let part = PinnedWheel { members: vec![member].leak(), ..pinned };
        let python = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake-python3").as_ref();
        let error = install::ensure(&part, &fixture.cache(), python, &Progress::Silent)
            .expect_err("it is not the pinned member");
        assert!(matches!(&error, NativeLibsError::Mismatch { what, .. } if what == archived), "{error}");
        assert_nothing_installed(&fixture);
    }
}

#[test]
fn a_truncated_file_is_downloaded_again_and_a_changed_one_is_damaged() {
    let fixture = Fixture::new(DELIVERS);
    let condition_of_pdfium = || fixture.sources().verify().expect("the cache folder is known")[1].condition;
    let pdfium = fixture.pdfium().expect("pip delivers");
    assert_eq!(condition_of_pdfium(), FileCondition::Valid);

    fs::write(&pdfium, "PDFIUM").expect("it can be written");
    assert_eq!(condition_of_pdfium(), FileCondition::Damaged);

    fs::write(&pdfium, "pdf").expect("it can be written");
    assert_eq!(fixture.pdfium().expect("pip delivers"), pdfium);
    assert_eq!(condition_of_pdfium(), FileCondition::Valid);
    assert_eq!((fixture.calls().len(), fixture.staging_folders()), (2, 0));
}

#[test]
fn a_missing_python_is_named() {
    let fixture = Fixture::new(DELIVERS);
    let sources = fixture.sources_with(&[("QUIRE_PYTHON", Path::new("/nowhere/python3"))]);
    let error = sources.pdfium(&Progress::Silent).expect_err("there is none");
    assert!(matches!(&error, NativeLibsError::PythonMissing { python, .. } if python == "/nowhere/python3"), "{error}");
    assert!(error.to_string().contains("QUIRE_PYTHON"), "{error}");
    assert_names_the_variables(&error);
    assert_nothing_installed(&fixture);
}

#[test]
fn a_python_without_pip_is_detected() {
    let fixture = Fixture::new("echo \"$0: No module named pip\" >&2; exit 1");
    let error = fixture.pdfium().expect_err("there is no pip");
    assert!(matches!(error, NativeLibsError::PipMissing { .. }), "{error}");
    assert!(error.to_string().contains("ensurepip"), "{error}");
    assert_names_the_variables(&error);
    assert_nothing_installed(&fixture);
}

#[test]
fn the_log_of_a_failed_pip_is_shown_without_secrets() {
    let fixture = Fixture::new(
        r#"for line in $(seq 1 20); do echo "line $line" >&2; done
           echo "Looking in indexes: https://me:hunter2@index.example/simple?token=hunter2, b" >&2
           echo "Retrying: /simple/tiny/?token=hunter2" >&2
           echo "ERROR: No matching distribution found" >&2
           exit 23"#,
    );
    let error = fixture.pdfium().expect_err("pip fails");
    let NativeLibsError::PipFailed { log_end, status, .. } = &error else { panic!("another error: {error}") };
    assert!(status.contains("23"), "{status}");
    assert!(log_end.starts_with("    line 16\n"), "{log_end}");
    assert!(
        log_end.ends_with(
            "    Looking in indexes: https://index.example/simple b\n    Retrying: /simple/tiny/\n    \
             ERROR: No matching distribution found"
        ),
        "{log_end}"
    );
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert_names_the_variables(&error);
    assert_nothing_installed(&fixture);
}

#[test]
fn a_pip_that_succeeds_without_a_wheel_is_an_error() {
    let fixture = Fixture::new("exit 0");
    let error = fixture.pdfium().expect_err("nothing came");
    assert!(matches!(&error, NativeLibsError::PipFailed { log_end, .. } if log_end == "    (nothing)"), "{error}");
    assert_nothing_installed(&fixture);
}

#[test]
fn a_variable_that_names_a_missing_file_is_an_error() {
    let fixture = Fixture::new(DELIVERS);
    let absent = fixture.folder.join("absent");
    for variable in ["ORT_DYLIB_PATH", "QUIRE_PDFIUM_PATH", "QUIRE_MODELS_DIR"] {
        let sources = fixture.sources_with(&[(variable, &absent)]);
        let error = match variable {
            "ORT_DYLIB_PATH" => sources.onnxruntime(&Progress::Silent).expect_err("the file is missing"),
            "QUIRE_PDFIUM_PATH" => sources.pdfium(&Progress::Silent).expect_err("the file is missing"),
            _ => sources.models(&Progress::Silent).map(|_| ()).expect_err("the file is missing"),
        };
        assert!(
            matches!(&error, NativeLibsError::Override { variable: named, path }
                if *named == variable && path.starts_with(&absent)),
            "{error}"
        );
        assert_names_the_variables(&error);
    }
    assert!(fixture.calls().is_empty());
}

#[test]
fn an_unusable_cache_folder_is_named() {
    let fixture = Fixture::new(DELIVERS);
    let file = fixture.folder.join("file");
    fs::write(&file, "").expect("the folder can be written");
    let sources = fixture.sources_with(&[("QUIRE_CACHE_DIR", &file.join("cache"))]);
    let error = sources.pdfium(&Progress::Silent).expect_err("a file is no folder");
    assert!(
        matches!(&error, NativeLibsError::Cache { source, .. } if source.kind() == ErrorKind::NotADirectory),
        "{error}"
    );
    assert!(error.to_string().contains("QUIRE_CACHE_DIR"), "{error}");
    assert_names_the_variables(&error);
    assert!(fixture.calls().is_empty());
}

#[test]
fn a_missing_cache_folder_and_an_unsupported_platform_are_errors() {
    let fixture = Fixture::new(DELIVERS);
    let error = fixture.sources_with(&[("QUIRE_CACHE_DIR", Path::new(""))]).pdfium(&Progress::Silent);
    let error = error.expect_err("no folder is named");
    assert!(matches!(error, NativeLibsError::NoCacheFolder), "{error}");
    assert_names_the_variables(&error);

    let sources = fixture.try_sources(&[], None).expect("paths can be made absolute");
    let error = sources.onnxruntime(&Progress::Silent).expect_err("there is none for this platform");
    assert!(error.to_string().contains("macOS 14 or newer on arm64"), "{error}");
    assert_names_the_variables(&error);
}

#[test]
fn an_installed_file_that_was_changed_is_not_loaded() {
    let fixture = Fixture::new(DELIVERS);
    let sources = fixture.sources();
    let library = sources.openvino(&Progress::Silent).expect("pip delivers");
    let plugin = library.with_file_name("libopenvino_plugin.so");
    let size = fs::metadata(&plugin).expect("it is there").len();
    fs::write(&plugin, "x".repeat(size as usize)).expect("it can be written");
    // Another process: this one has verified it already.
    let test = "tests::refusals::a_changed_file_is_refused_in_another_process";
    let output = stderr_of(child(test, &fixture.folder));
    assert!(output.contains("refused to load") && output.contains("libopenvino_plugin.so"), "{output}");
    assert!(output.contains("Remove its folder"), "{output}");
}

/// A child process of the test above.
#[test]
fn a_changed_file_is_refused_in_another_process() {
    let Some(folder) = std::env::var_os(FOLDER_VARIABLE) else { return };
    let error = Fixture::existing(folder.into()).sources().openvino(&Progress::Silent).expect_err("it was changed");
    assert!(matches!(&error, NativeLibsError::Changed { .. }), "{error}");
    assert_names_the_variables(&error);
    // Not captured by the test harness.
    writeln!(std::io::stderr(), "{error}").expect("the parent reads it");
}

#[cfg(unix)]
#[test]
fn a_file_that_other_users_can_change_is_refused_or_closed() {
    use std::os::unix::fs::PermissionsExt;

    let fixture = Fixture::new(DELIVERS);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let set_mode = |path: &Path, mode| fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("it is ours");
    let folder = fixture.folder.join("open");
    fs::create_dir(&folder).expect("created");
    let mine = folder.join("mine.so");
    fs::write(&mine, "mine").expect("written");
    let load = || fixture.sources_with(&[("QUIRE_PDFIUM_PATH", &mine)]).pdfium(&Progress::Silent);
    for (path, closed, open) in [(&mine, 0o644, 0o666), (&folder, 0o755, 0o777)] {
        set_mode(path, open);
        let error = load().expect_err("all users can write it");
        assert!(matches!(&error, NativeLibsError::Changeable { .. }), "{error}");
        assert!(error.to_string().contains("all users can write it: run `chmod go-w` on it"), "{error}");
        assert_eq!(mode(path), open, "a given file is left as it is");
        set_mode(path, closed);
    }
    assert!(load().is_ok());

    let installed = fixture.pdfium().expect("pip delivers");
    assert_eq!(mode(&fixture.cache()), 0o700);
    for path in [installed.as_path(), installed.parent().expect("a folder"), &fixture.cache()] {
        set_mode(path, 0o777);
        fixture.pdfium().expect("it is corrected");
        assert_eq!(mode(path) & 0o022, 0, "{}", path.display());
    }
}
