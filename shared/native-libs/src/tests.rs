//! Fetching, with a tiny wheel and a pip that does as told.

mod refusals;
mod workbench;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use workbench::{DELIVERS, FOLDER_VARIABLE, HANGS, Workbench, child, said};

use crate::{Condition, NativesError, Progress, pinned};

/// Also run as a child process by the tests below, on their workbench.
#[test]
fn an_empty_cache_is_filled_with_the_members_and_their_licenses() {
    let bench = env::var_os(FOLDER_VARIABLE)
        .map_or_else(|| Workbench::new(DELIVERS), |folder| Workbench::existing(PathBuf::from(folder)));

    let pdfium = bench.sources().pdfium(&Progress::Bar).expect("pip delivers");

    assert_eq!(fs::read_to_string(&pdfium).expect("it is there"), "pdfium");
    let licenses = fs::read_to_string(pdfium.with_file_name("LICENSES.txt")).expect("they are there");
    assert_eq!(licenses, "---- pkg/licenses/A.txt\n\nlicense A\n---- pkg/licenses/deep/B.txt\n\nlicense B\n");
    let files = fs::read_dir(pdfium.parent().expect("it is in a folder")).expect("it can be read").count();
    assert_eq!(files, 2, "nothing else is unpacked");
    assert_eq!(bench.staging_folders(), 0);
}

const FILLS_THE_CACHE: &str = "tests::an_empty_cache_is_filled_with_the_members_and_their_licenses";

#[test]
fn every_part_is_found_and_a_later_start_fetches_nothing() {
    let bench = Workbench::new(DELIVERS);
    let natives = bench.sources().natives(&Progress::Silent).expect("pip delivers");
    assert_eq!(fs::read_to_string(&natives.onnxruntime).expect("it is there"), "runtime runtime runtime");
    assert_eq!(fs::read_to_string(&natives.detection).expect("it is there"), "detection");
    assert_eq!(fs::read_to_string(&natives.recognition).expect("it is there"), "recognition");
    assert_eq!(bench.calls().len(), 3);

    assert_eq!(bench.sources().natives(&Progress::Silent).expect("it is cached"), natives);
    assert_eq!(bench.calls().len(), 3);
}

#[test]
fn pip_runs_in_the_staging_folder_where_no_stranger_can_put_a_module() {
    let bench = Workbench::new(DELIVERS);
    bench.pdfium().expect("pip delivers");
    let staging = bench.cache().join(".staging-pdfium-");
    assert!(bench.calls()[0].starts_with(&*staging.to_string_lossy()), "{:?}", bench.calls());
}

#[test]
fn two_threads_at_once_fetch_once() {
    let bench = Workbench::new(&format!("sleep 0.3\n{DELIVERS}"));
    let found = thread::scope(|scope| {
        let threads = [(); 4].map(|()| scope.spawn(|| bench.pdfium().expect("pip delivers")));
        threads.map(|thread| thread.join().expect("it does not panic"))
    });
    assert!(found.iter().all(|path| *path == found[0]));
    assert_eq!(bench.calls().len(), 1);
}

#[test]
fn two_processes_at_once_fetch_once_and_the_second_says_that_it_waits() {
    let bench = Workbench::new(&format!("sleep 2\n{DELIVERS}"));
    let children = [(); 2].map(|()| child(FILLS_THE_CACHE, &bench.folder));
    let mut said = children.map(said);
    said.sort();
    assert_eq!(said[0], "fetching pdfium (pdfium 1.0) (0.0 MB)\n");
    assert_eq!(said[1], "waiting for another process that fetches pdfium (pdfium 1.0)\n");
    assert_eq!(bench.calls().len(), 1);
}

#[test]
fn a_process_killed_while_fetching_leaves_nothing_that_is_taken_for_whole() {
    let bench = Workbench::new(HANGS);
    let mut killed = child(FILLS_THE_CACHE, &bench.folder);
    wait_for(&bench.folder.join("started"));
    killed.kill().expect("it runs");
    killed.wait().expect("it ends");
    assert_eq!(bench.staging_folders(), 1);
    let findings = bench.sources().verify().expect("it can be looked for");
    assert!(findings.iter().all(|finding| finding.condition == Condition::Missing), "{findings:?}");

    bench.pip(DELIVERS);
    bench.pdfium().expect("pip delivers");
    assert_eq!(bench.calls().len(), 2);
    assert_eq!(bench.staging_folders(), 0);
}

#[test]
fn what_a_variable_names_wins_and_nothing_is_fetched() {
    let bench = Workbench::new(DELIVERS);
    let runtime = bench.folder.join("mine.so");
    for file in ["mine.so", "det.onnx", "rec.onnx"] {
        fs::write(bench.folder.join(file), file).expect("the folder can be written");
    }
    let given: [(&str, &Path); 3] =
        [("ORT_DYLIB_PATH", &runtime), ("QUIRE_PDFIUM_PATH", &runtime), ("QUIRE_MODELS_DIR", &bench.folder)];

    let natives = bench.sources_with(&given).natives(&Progress::Silent).expect("all are given");

    assert_eq!((&natives.onnxruntime, &natives.pdfium), (&runtime, &runtime));
    assert_eq!(natives.detection, bench.folder.join("det.onnx"));
    assert_eq!(natives.recognition, bench.folder.join("rec.onnx"));
    assert!(bench.calls().is_empty());
    let findings = bench.sources_with(&given).verify().expect("all are given");
    let conditions: Vec<_> = findings.iter().map(|finding| finding.condition).collect();
    let [runtime, pdfium, models] = given.map(|(variable, _)| Condition::Override(variable));
    assert_eq!(conditions, [runtime, pdfium, models, models, Condition::Missing, Condition::Missing]);
}

#[test]
fn openvino_is_fetched_only_when_it_is_asked_for() {
    let bench = Workbench::new(DELIVERS);
    bench.sources().natives(&Progress::Silent).expect("pip delivers");
    let of_openvino = || {
        let findings = bench.sources().verify().expect("it can be looked for");
        findings.into_iter().filter(|finding| finding.part == "openvino").map(|finding| finding.condition)
    };
    assert_eq!(of_openvino().collect::<Vec<_>>(), [Condition::Missing; 2]);

    let library = bench.sources().openvino(&Progress::Silent).expect("pip delivers");

    assert_eq!(fs::read_to_string(&library).expect("it is there"), "openvino");
    assert_eq!(
        fs::read_to_string(library.with_file_name("libopenvino_plugin.so")).expect("it too"),
        "openvino's plug-in"
    );
    assert_eq!(of_openvino().collect::<Vec<_>>(), [Condition::Whole; 2]);
    assert_eq!(bench.calls().len(), 4);
}

#[test]
fn a_folder_with_openvino_has_to_have_all_of_it() {
    let bench = Workbench::new(DELIVERS);
    let sources = bench.sources_with(&[("QUIRE_OPENVINO_DIR", &bench.folder)]);
    fs::write(bench.folder.join("libopenvino_c.so"), "mine").expect("the folder can be written");
    let error = sources.openvino(&Progress::Silent).expect_err("half of it is missing").to_string();
    assert!(error.contains("QUIRE_OPENVINO_DIR") && error.contains("libopenvino_plugin.so"), "{error}");
    fs::write(bench.folder.join("libopenvino_plugin.so"), "mine").expect("the folder can be written");
    assert_eq!(sources.openvino(&Progress::Silent).expect("now it is there"), bench.folder.join("libopenvino_c.so"));
    assert!(bench.calls().is_empty());
}

#[test]
fn a_machine_without_openvino_says_what_to_read_with() {
    let bench = Workbench::new(DELIVERS);
    let sources = bench.try_sources(&[], None).expect("paths can be made absolute");
    assert!(!sources.has_openvino() && bench.sources().has_openvino());
    let error = sources.openvino(&Progress::Silent).expect_err("none is known").to_string();
    assert!(error.contains("ONNX Runtime") && error.contains("QUIRE_OPENVINO_DIR"), "{error}");
}

#[test]
fn a_variable_that_is_empty_is_as_good_as_unset() {
    let bench = Workbench::new(DELIVERS);
    let pdfium = bench.sources_with(&[("QUIRE_PDFIUM_PATH", Path::new(""))]).pdfium(&Progress::Silent);
    assert!(pdfium.expect("pip delivers").starts_with(bench.cache()));
}

#[test]
fn the_models_come_to_a_machine_whose_libraries_are_unknown() {
    let bench = Workbench::new(DELIVERS);
    let sources = bench.try_sources(&[], None).expect("paths can be made absolute");
    assert!(sources.models(&Progress::Silent).is_ok());
    let error = sources.pdfium(&Progress::Silent).expect_err("none is known");
    assert!(matches!(error, NativesError::UnsupportedPlatform { .. }), "{error}");
}

#[test]
fn the_cache_is_where_the_user_keeps_such_things() {
    let bench = Workbench::new(DELIVERS);
    let unset = ("QUIRE_CACHE_DIR", Path::new(""));
    let (home, xdg) = (bench.folder.join("home"), bench.folder.join("xdg"));
    let in_home = if cfg!(target_os = "macos") { "Library/Caches/quire" } else { ".cache/quire" };
    let place = |variables: &[(&str, &Path)]| {
        let findings = bench.sources_with(variables).verify().expect("a cache folder is known");
        findings[0].path.parent().and_then(Path::parent).expect("two folders above").to_owned()
    };
    assert_eq!(place(&[("HOME", &home)]), bench.cache());
    assert_eq!(place(&[unset, ("HOME", &home)]), home.join(in_home));
    assert_eq!(place(&[unset, ("HOME", &home), ("XDG_CACHE_HOME", &xdg)]), xdg.join("quire"));
    assert_eq!(place(&[unset, ("HOME", &home), ("XDG_CACHE_HOME", Path::new("relative"))]), home.join(in_home));
}

#[test]
fn every_pinned_member_gets_a_plain_name_and_has_a_whole_hash() {
    let platform = pinned::this_platform().expect("the tests run on a supported machine");
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
        assert!(start.elapsed() < Duration::from_secs(30), "{} does not come", path.display());
        thread::sleep(Duration::from_millis(10));
    }
}
