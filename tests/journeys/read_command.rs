//! `quire read`: samples, formats, errors, and fetching of models and libraries.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::harness::{
    ServeOptions, ServeProcess, TestPage, UploadFile, faulty_quire, files_below, pdf, pdf_with_a_broken_page, png,
    quire, quire_with, text_of, without_whitespace,
};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples")
}

/// Returns the Levenshtein distance in characters.
fn edit_distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, b) in other.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

/// Asserts a character error rate of at most 1 %, without white space.
fn assert_reads_as(read: &str, expected: &str, name: &str) {
    let read = without_whitespace(read);
    let expected = without_whitespace(expected);
    let wrong = edit_distance(&read, &expected);
    assert!(wrong * 100 <= expected.chars().count(), "{name}: {wrong} characters are wrong:\n{read}\n{expected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_is_read_correctly() {
    for name in ["invoice.pdf", "receipt.png", "letter.jpg", "scan.tiff"] {
        let file = samples().join(name);
        let expected = samples().join("expected").join(Path::new(name).with_extension("txt"));
        let expected = fs::read_to_string(expected).expect("each sample has its text");
        let read = quire(["read".as_ref(), file.as_os_str()]).await.expect_stdout();
        assert_reads_as(&read, &expected, name);
    }
}

/// Returns the paths of all members of a JSON value. The items of an array share one path.
fn member_paths(value: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, path: &str, paths: &mut BTreeSet<String>) {
        paths.insert(path.to_owned());
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(item, &format!("{path}[]"), paths)),
            Value::Object(members) => {
                members.iter().for_each(|(name, member)| walk(member, &format!("{path}.{name}"), paths));
            }
            _ => {}
        }
    }
    let mut paths = BTreeSet::new();
    walk(value, "", &mut paths);
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn json_output_equals_a_batch_response() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = [
        ("two.pdf", pdf(&[TestPage::new("Page one"), TestPage::new("Page two")])),
        ("card.png", png(&TestPage::new("A card"))),
        ("text.txt", b"no document".to_vec()),
    ];
    let mut arguments = vec!["read".to_owned(), "--format".to_owned(), "json".to_owned()];
    for (name, bytes) in &files {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("the file can be written");
        arguments.push(path.to_string_lossy().into_owned());
    }
    let ended = quire(arguments).await;
    assert_eq!(ended.code, Some(1), "one file is not a document: {ended:#?}");
    let printed: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let serve = ServeProcess::start(ServeOptions::new(folder.path())).await;
    let uploads = files.map(|(name, bytes)| UploadFile::new(name, bytes));
    let answered = serve.api().batch(uploads).await.expect_status(200);
    assert_eq!(member_paths(&printed), member_paths(&answered));
    for (printed, answered) in printed.as_array().expect("an array").iter().zip(answered.as_array().expect("an array"))
    {
        for member in ["document", "file", "status", "text", "error"] {
            assert_eq!(printed.get(member), answered.get(member));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_files_are_named_and_the_others_are_printed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, bytes: Vec<u8>| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("the file can be written");
        path
    };
    let good = write("good.png", png(&TestPage::new("All is well")));
    let corrupt = write("corrupt.pdf", b"%PDF-1.4 but not really".to_vec());
    let torn = write("torn.pdf", pdf_with_a_broken_page(&[TestPage::new("Page one"), TestPage::new("Page three")]));
    let missing = folder.path().join("missing.png");
    let files = [&good, &corrupt, &torn, &missing].map(|path| path.to_str().expect("the path is UTF-8"));

    for format in ["text", "markdown", "json"] {
        let ended = quire(["read", "--format", format].into_iter().chain(files)).await;
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        for text in ["Alliswell", "Pageone", "Pagethree"] {
            assert!(without_whitespace(&ended.stdout).contains(text), "{format}: {ended:#?}");
        }
        let errors: Vec<&str> = ended.stderr.lines().collect();
        assert_eq!(errors.len(), 3, "{ended:#?}");
        for (file, reason) in
            [("corrupt.pdf", "unreadable_document"), ("torn.pdf, page 2", "unreadable_page"), ("missing.png", "")]
        {
            let is_named = errors.iter().any(|line| line.contains(file) && line.contains(reason));
            assert!(is_named, "{file}: {reason}: {ended:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_keeps_the_results() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let card = folder.path().join("card.png");
    fs::write(&card, png(&TestPage::new("To be kept"))).expect("the file can be written");
    let launch = ServeOptions::new(folder.path());
    let data = launch.data();
    let data = data.to_str().expect("the path is UTF-8");
    let card = card.to_str().expect("the path is UTF-8");
    let printed = quire(["read", "--workers", "1", "--format", "json", "--data", data, card]).await.expect_stdout();
    let printed: Value = serde_json::from_str(&printed).expect("JSON");
    let id = printed[0]["task_id"].as_str().expect("a task id");
    let serve = ServeProcess::start(launch).await;
    let task = serve.api().task(id).await;
    assert_eq!(without_whitespace(text_of(&task["documents"][0])), "Tobekept");
    assert!(Path::new(card).is_file(), "the input file is not moved");
}

/// Both processes need ONNX Runtime, pdfium and the models; a lock on the cache makes one of them download.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_with_an_empty_cache_download_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let card = folder.path().join("card.png");
    let cache = folder.path().join("cache");
    fs::write(&card, png(&TestPage::new("Fetched once"))).expect("the file can be written");
    let python = folder.path().join("python");
    let calls = folder.path().join("calls");
    // Logs a line per call.
    let script = format!("#!/bin/sh\necho \"$*\" >> '{}'\nexec python3 \"$@\"\n", calls.display());
    fs::write(&python, script).expect("a script");
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).expect("the permissions can be changed");
    let read = || {
        quire_with(["read".as_ref(), card.as_os_str()], |command| {
            command.env("QUIRE_CACHE_DIR", &cache).env("QUIRE_PYTHON", &python);
            for variable in ["ORT_DYLIB_PATH", "QUIRE_PDFIUM_PATH", "QUIRE_MODELS_DIR"] {
                command.env_remove(variable);
            }
        })
    };
    let (one, other) = tokio::join!(read(), read());
    for ended in [one, other] {
        assert_eq!(without_whitespace(&ended.expect_stdout()), "Fetchedonce");
    }
    let calls = fs::read_to_string(&calls).expect("something was downloaded");
    let downloads: Vec<&str> = calls.lines().filter(|line| line.contains("download")).collect();
    assert_eq!(downloads.len(), 3, "each package once: {downloads:#?}");
    let kept = files_below(&cache);
    assert!(!kept.iter().any(|file| file.contains(".whl")), "wheels are not kept: {kept:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stored_or_reported_outside_of_the_cache() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let card = folder.path().join("card.png");
    let home = folder.path().join("home");
    fs::write(&card, png(&TestPage::new("Nobody else"))).expect("the file can be written");
    fs::create_dir(&home).expect("a temporary folder");
    let natives = tokio::task::spawn_blocking(|| quire_native_libs::locate(&quire_native_libs::Progress::Silent));
    let natives = natives.await.expect("the task does not panic").expect("the native libraries are installed");
    let models = natives.detection.parent().expect("models are in a folder");
    let ended = quire_with(["read".as_ref(), card.as_os_str()], |command| {
        command.env("HOME", &home).env_remove("XDG_CACHE_HOME").env_remove("ORT_DISABLE_TELEMETRY");
        command.env("QUIRE_PROVIDER", "onnxruntime").env("ORT_DYLIB_PATH", &natives.onnxruntime);
        command.env("QUIRE_PDFIUM_PATH", &natives.pdfium).env("QUIRE_MODELS_DIR", models);
    });
    assert_eq!(without_whitespace(&ended.await.expect_stdout()), "Nobodyelse");
    // ONNX Runtime stores its telemetry in a database there, unless it is disabled before the library is loaded.
    assert_eq!(files_below(&home), [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_without_build_support_is_rejected() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let card = folder.path().join("card.png");
    fs::write(&card, png(&TestPage::new("On the GPU"))).expect("the file can be written");
    let read = quire(["read".as_ref(), "--device".as_ref(), "cuda".as_ref(), card.as_os_str()]).await;
    assert!(read.expect_error_line().contains("--features cuda"), "{read:#?}");
    let data = folder.path().join("data");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--device", "cuda", "--data"].map(std::ffi::OsStr::new);
    let served = quire(serve.into_iter().chain([data.as_os_str()])).await;
    assert!(served.code.is_some_and(|code| code != 0), "{served:#?}");
    assert!(served.stderr.contains("--features cuda"), "{served:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_never_ends_fails_alone_and_the_others_are_printed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pages = [("first.png", TestPage::new("First")), ("endless.png", TestPage::new("Endless").cyan())];
    let pages = pages.into_iter().chain([("last.png", TestPage::new("Last"))]);
    let files: Vec<PathBuf> = pages
        .map(|(name, page)| {
            let file = folder.path().join(name);
            fs::write(&file, png(&page)).expect("the file is written");
            file
        })
        .collect();
    let output = quire_with(std::iter::empty::<&str>(), |command| {
        *command = tokio::process::Command::new(faulty_quire());
        command.arg("read").args(&files).env("QUIRE_PAGE_LIMIT_SECS", "5").kill_on_drop(true);
    })
    .await;
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stdout.contains("First") && output.stdout.contains("Last"), "{output:?}");
    assert!(!output.stdout.contains("Endless"), "{output:?}");
    let failed: Vec<&str> = output.stderr.lines().filter(|line| line.starts_with("quire: ")).collect();
    assert!(matches!(failed[..], [line] if line.contains("endless.png, page 1: ")), "{output:?}");
}
