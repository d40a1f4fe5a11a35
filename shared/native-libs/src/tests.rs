//! Downloads with a tiny wheel and a fake pip.

mod fixture;
mod refusals;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use fixture::{DELIVERS, FOLDER_VARIABLE, Fixture, HANGS, child, stderr_of};

use crate::{FileCondition, NativeLibsError, Progress, pinned};

/// Also run as a child process by the tests below, with their fixture.
#[test]
fn an_empty_cache_is_filled_with_the_members_and_their_licenses() {
    let fixture = env::var_os(FOLDER_VARIABLE)
        .map_or_else(|| Fixture::new(DELIVERS), |folder| Fixture::existing(PathBuf::from(folder)));

    let pdfium = fixture.sources().pdfium(&Progress::Bar).expect("pip delivers");

    assert_eq!(fs::read_to_string(&pdfium).expect("the file exists"), "pdfium");
    let licenses = fs::read_to_string(pdfium.with_file_name("LICENSES.txt")).expect("they are there");
    assert_eq!(licenses, "---- pkg/licenses/A.txt\n\nlicense A\n---- pkg/licenses/deep/B.txt\n\nlicense B\n");
    let files = fs::read_dir(pdfium.parent().expect("it is in a folder")).expect("it can be read").count();
    assert_eq!(files, 2, "nothing else is unpacked");
    assert_eq!(fixture.staging_folders(), 0);
}

const FILLS_THE_CACHE: &str = "tests::an_empty_cache_is_filled_with_the_members_and_their_licenses";

#[test]
fn a_second_start_downloads_nothing() {
    let fixture = Fixture::new(DELIVERS);
    let natives = fixture.sources().native_libraries(&Progress::Silent).expect("pip delivers");
    assert_eq!(fs::read_to_string(&natives.onnxruntime).expect("the file exists"), "runtime runtime runtime");
    assert_eq!(fs::read_to_string(&natives.detection).expect("the file exists"), "detection");
    assert_eq!(fs::read_to_string(&natives.recognition).expect("the file exists"), "recognition");
    assert_eq!(fixture.calls().len(), 3);

    assert_eq!(fixture.sources().native_libraries(&Progress::Silent).expect("it is in the cache"), natives);
    assert_eq!(fixture.calls().len(), 3);
}

#[test]
fn pip_runs_in_the_staging_folder() {
    let fixture = Fixture::new(DELIVERS);
    fixture.pdfium().expect("pip delivers");
    let staging = fixture.cache().join(".staging-pdfium-");
    assert!(fixture.calls()[0].starts_with(&*staging.to_string_lossy()), "{:?}", fixture.calls());
}

#[test]
fn concurrent_threads_download_once() {
    let fixture = Fixture::new(&format!("sleep 0.3\n{DELIVERS}"));
    let found = thread::scope(|scope| {
        let threads = [(); 4].map(|()| scope.spawn(|| fixture.pdfium().expect("pip delivers")));
        threads.map(|thread| thread.join().expect("it does not panic"))
    });
    assert!(found.iter().all(|path| *path == found[0]));
    assert_eq!(fixture.calls().len(), 1);
}

#[test]
fn concurrent_processes_download_once_and_the_second_logs_that_it_waits() {
    let fixture = Fixture::new(&format!("sleep 2\n{DELIVERS}"));
    let children = [(); 2].map(|()| child(FILLS_THE_CACHE, &fixture.folder));
    let mut outputs = children.map(stderr_of);
    outputs.sort();
    assert_eq!(outputs[0], "downloading pdfium (pdfium 1.0) (0.0 MB)\n");
    assert_eq!(outputs[1], "waiting for another process that downloads pdfium (pdfium 1.0)\n");
    assert_eq!(fixture.calls().len(), 1);
}

#[test]
fn a_process_killed_during_a_download_leaves_no_installed_file() {
    let fixture = Fixture::new(HANGS);
    let mut killed = child(FILLS_THE_CACHE, &fixture.folder);
    wait_for(&fixture.folder.join("started"));
    killed.kill().expect("it runs");
    killed.wait().expect("it ends");
    assert_eq!(fixture.staging_folders(), 1);
    let checks = fixture.sources().verify().expect("the cache folder is known");
    assert!(checks.iter().all(|check| check.condition == FileCondition::Missing), "{checks:?}");

    fixture.pip(DELIVERS);
    fixture.pdfium().expect("pip delivers");
    assert_eq!(fixture.calls().len(), 2);
    assert_eq!(fixture.staging_folders(), 0);
}

#[test]
fn files_named_by_variables_take_precedence() {
    let fixture = Fixture::new(DELIVERS);
    let runtime = fixture.folder.join("mine.so");
    for file in ["mine.so", "det.onnx", "rec.onnx"] {
        fs::write(fixture.folder.join(file), file).expect("the folder can be written");
    }
    let given: [(&str, &Path); 3] =
        [("ORT_DYLIB_PATH", &runtime), ("QUIRE_PDFIUM_PATH", &runtime), ("QUIRE_MODELS_DIR", &fixture.folder)];

    let natives = fixture.sources_with(&given).native_libraries(&Progress::Silent).expect("all are given");

    assert_eq!((&natives.onnxruntime, &natives.pdfium), (&runtime, &runtime));
    assert_eq!(natives.detection, fixture.folder.join("det.onnx"));
    assert_eq!(natives.recognition, fixture.folder.join("rec.onnx"));
    assert!(fixture.calls().is_empty());
    let checks = fixture.sources_with(&given).verify().expect("all are given");
    let conditions: Vec<_> = checks.iter().map(|check| check.condition).collect();
    let [runtime, pdfium, models] = given.map(|(variable, _)| FileCondition::Override(variable));
    assert_eq!(conditions, [runtime, pdfium, models, models, FileCondition::Missing, FileCondition::Missing]);
}

#[test]
fn openvino_is_downloaded_only_on_request() {
    let fixture = Fixture::new(DELIVERS);
    fixture.sources().native_libraries(&Progress::Silent).expect("pip delivers");
    let of_openvino = || {
        let checks = fixture.sources().verify().expect("the cache folder is known");
        checks.into_iter().filter(|check| check.part == "openvino").map(|check| check.condition)
    };
    assert_eq!(of_openvino().collect::<Vec<_>>(), [FileCondition::Missing; 2]);

    let library = fixture.sources().openvino(&Progress::Silent).expect("pip delivers");

    assert_eq!(fs::read_to_string(&library).expect("the file exists"), "openvino");
    assert_eq!(
        fs::read_to_string(library.with_file_name("libopenvino_plugin.so")).expect("it too"),
        "openvino's plug-in"
    );
    assert_eq!(of_openvino().collect::<Vec<_>>(), [FileCondition::Valid; 2]);
    assert_eq!(fixture.calls().len(), 4);
}

#[test]
fn a_folder_of_openvino_must_be_complete() {
    let fixture = Fixture::new(DELIVERS);
    let sources = fixture.sources_with(&[("QUIRE_OPENVINO_DIR", &fixture.folder)]);
    fs::write(fixture.folder.join("libopenvino_c.so"), "mine").expect("the folder can be written");
    let error = sources.openvino(&Progress::Silent).expect_err("half of it is missing").to_string();
    assert!(error.contains("QUIRE_OPENVINO_DIR") && error.contains("libopenvino_plugin.so"), "{error}");
    fs::write(fixture.folder.join("libopenvino_plugin.so"), "mine").expect("the folder can be written");
    assert_eq!(sources.openvino(&Progress::Silent).expect("now it is there"), fixture.folder.join("libopenvino_c.so"));
    assert!(fixture.calls().is_empty());
}

#[test]
fn the_error_for_a_platform_without_openvino_names_alternatives() {
    let fixture = Fixture::new(DELIVERS);
    let sources = fixture.try_sources(&[], None).expect("paths can be made absolute");
    assert!(!sources.has_openvino() && fixture.sources().has_openvino());
    let error = sources.openvino(&Progress::Silent).expect_err("there is none for this platform").to_string();
    assert!(error.contains("ONNX Runtime") && error.contains("QUIRE_OPENVINO_DIR"), "{error}");
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let fixture = Fixture::new(DELIVERS);
    let pdfium = fixture.sources_with(&[("QUIRE_PDFIUM_PATH", Path::new(""))]).pdfium(&Progress::Silent);
    assert!(pdfium.expect("pip delivers").starts_with(fixture.cache()));
}

#[test]
fn the_models_are_available_on_unsupported_platforms() {
    let fixture = Fixture::new(DELIVERS);
    let sources = fixture.try_sources(&[], None).expect("paths can be made absolute");
    assert!(sources.models(&Progress::Silent).is_ok());
    let error = sources.pdfium(&Progress::Silent).expect_err("there is none for this platform");
    assert!(matches!(error, NativeLibsError::UnsupportedPlatform { .. }), "{error}");
}

#[test]
fn the_default_cache_folder_is_the_users() {
    let fixture = Fixture::new(DELIVERS);
    let unset = ("QUIRE_CACHE_DIR", Path::new(""));
    let (home, xdg) = (fixture.folder.join("home"), fixture.folder.join("xdg"));
    let in_home = if cfg!(target_os = "macos") { "Library/Caches/quire" } else { ".cache/quire" };
    let place = |variables: &[(&str, &Path)]| {
        let checks = fixture.sources_with(variables).verify().expect("a cache folder is known");
        checks[0].path.parent().and_then(Path::parent).expect("two folders above").to_owned()
    };
    assert_eq!(place(&[("HOME", &home)]), fixture.cache());
    assert_eq!(place(&[unset, ("HOME", &home)]), home.join(in_home));
    assert_eq!(place(&[unset, ("HOME", &home), ("XDG_CACHE_HOME", &xdg)]), xdg.join("quire"));
    assert_eq!(place(&[unset, ("HOME", &home), ("XDG_CACHE_HOME", Path::new("relative"))]), home.join(in_home));
}

#[test]
fn every_pinned_member_has_a_plain_file_name_and_a_full_hash() {
    let platform = pinned::this_platform().expect("the tests run on a supported platform");
    let parts = [&platform.onnxruntime, &platform.pdfium, &pinned::MODELS];
    for part in parts.into_iter().chain(&platform.openvino) {
        assert_eq!(part.sha256.len(), 64, "{part}");
        assert!(part.wheel.starts_with(&format!("{}-{}-", part.name, part.version)), "{part}");
        for member in part.members {
            assert!(!member.name.contains(['/', '\\']) && !member.name.starts_with('.'), "{part}");
            assert_eq!(member.sha256.len(), 64, "{part}");
        }
    }
}

fn wait_for(path: &Path) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < Duration::from_secs(30), "{} does not appear", path.display());
        thread::sleep(Duration::from_millis(10));
    }
}
