//! `quire read`.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::harness::{
    Launch, Serve, Sheet, Upload, files_below, pdf, pdf_with_a_broken_page, png, quire, quire_with, squeezed, text_of,
};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples")
}

/// How many characters have to be changed, left out or put in to make one text of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (at, b) in other.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[at + 1];
            row[at + 1] = changed.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

/// Of a hundred characters, at most one is wrong; white space does not count.
fn assert_reads_as(read: &str, expected: &str, what: &str) {
    let (read, expected) = (squeezed(read), squeezed(expected));
    let wrong = distance(&read, &expected);
    assert!(wrong * 100 <= expected.chars().count(), "{what}: {wrong} characters are wrong:\n{read}\n{expected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_reads_as_it_was_written() {
    for name in ["invoice.pdf", "receipt.png", "letter.jpg", "scan.tiff"] {
        let file = samples().join(name);
        let expected = samples().join("expected").join(Path::new(name).with_extension("txt"));
        let expected = fs::read_to_string(expected).expect("each sample has its text");
        let read = quire(["read".as_ref(), file.as_os_str()]).await.printed();
        assert_reads_as(&read, &expected, name);
    }
}

/// Every member's place in a JSON value, items of an array taken together.
fn shape(value: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, place: &str, shape: &mut BTreeSet<String>) {
        shape.insert(place.to_owned());
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(item, &format!("{place}[]"), shape)),
            Value::Object(members) => {
                members.iter().for_each(|(name, member)| walk(member, &format!("{place}.{name}"), shape));
            }
            _ => {}
        }
    }
    let mut shape_of = BTreeSet::new();
    walk(value, "", &mut shape_of);
    shape_of
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_what_a_batch_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = [
        ("two.pdf", pdf(&[Sheet::new("Page one"), Sheet::new("Page two")])),
        ("card.png", png(&Sheet::new("A card"))),
        ("text.txt", b"no document".to_vec()),
    ];
    let mut arguments = vec!["read".to_owned(), "--format".to_owned(), "json".to_owned()];
    for (name, bytes) in &files {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a file");
        arguments.push(path.to_string_lossy().into_owned());
    }
    let ended = quire(arguments).await;
    assert_eq!(ended.code, Some(1), "one of them is no document: {ended:#?}");
    let printed: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let serve = Serve::start(Launch::new(folder.path())).await;
    let uploads = files.map(|(name, bytes)| Upload::new(name, bytes));
    let answered = serve.api().batch(uploads).await.body(200);
    assert_eq!(shape(&printed), shape(&answered));
    for (printed, answered) in printed.as_array().expect("an array").iter().zip(answered.as_array().expect("an array"))
    {
        for member in ["document", "file", "status", "text", "error"] {
            assert_eq!(printed.get(member), answered.get(member));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_named_and_the_rest_is_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: Vec<u8>| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a file");
        path
    };
    let good = write("good.png", png(&Sheet::new("All is well")));
    let corrupt = write("corrupt.pdf", b"%PDF-1.4 but not really".to_vec());
    let torn = write("torn.pdf", pdf_with_a_broken_page(&[Sheet::new("Page one"), Sheet::new("Page three")]));
    let missing = folder.path().join("missing.png");
    let files = [&good, &corrupt, &torn, &missing].map(|path| path.to_str().expect("a plain path"));

    for format in ["text", "markdown", "json"] {
        let ended = quire(["read", "--format", format].into_iter().chain(files)).await;
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        for text in ["Alliswell", "Pageone", "Pagethree"] {
            assert!(squeezed(&ended.stdout).contains(text), "{format}: {ended:#?}");
        }
        let complaints: Vec<&str> = ended.stderr.lines().collect();
        assert_eq!(complaints.len(), 3, "{ended:#?}");
        for (file, reason) in
            [("corrupt.pdf", "unreadable_document"), ("torn.pdf, page 2", "unreadable_page"), ("missing.png", "")]
        {
            let named = complaints.iter().any(|line| line.contains(file) && line.contains(reason));
            assert!(named, "{file}: {reason}: {ended:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_named_keeps_what_was_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let card = folder.path().join("card.png");
    fs::write(&card, png(&Sheet::new("To be kept"))).expect("a file");
    let launch = Launch::new(folder.path());
    let data = launch.data();
    let data = data.to_str().expect("a plain path");
    let card = card.to_str().expect("a plain path");
    let printed = quire(["read", "--workers", "1", "--format", "json", "--data", data, card]).await.printed();
    let printed: Value = serde_json::from_str(&printed).expect("JSON");
    let id = printed[0]["task_id"].as_str().expect("a task id");
    let serve = Serve::start(launch).await;
    let task = serve.api().task(id).await;
    assert_eq!(squeezed(text_of(&task["documents"][0])), "Tobekept");
    assert!(Path::new(card).is_file(), "the file itself stays where it was");
}

/// Both fetch ONNX Runtime, pdfium and the models, and so have to agree on who does.
#[tokio::test(flavor = "multi_thread")]
async fn two_that_start_at_once_without_a_cache_fetch_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (card, cache) = (folder.path().join("card.png"), folder.path().join("cache"));
    fs::write(&card, png(&Sheet::new("Fetched once"))).expect("a file");
    let (python, calls) = (folder.path().join("python"), folder.path().join("calls"));
    // Counts the downloads, by a line each.
    let script = format!("#!/bin/sh\necho \"$*\" >> '{}'\nexec python3 \"$@\"\n", calls.display());
    fs::write(&python, script).expect("a script");
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).expect("it is ours");
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
        assert_eq!(squeezed(&ended.printed()), "Fetchedonce");
    }
    let calls = fs::read_to_string(&calls).expect("something was fetched");
    let downloads: Vec<&str> = calls.lines().filter(|line| line.contains("download")).collect();
    assert_eq!(downloads.len(), 3, "each part once: {downloads:#?}");
    let kept = files_below(&cache);
    assert!(!kept.iter().any(|file| file.contains(".whl")), "wheels are not kept: {kept:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_or_reported_outside_of_the_cache() {
    let folder = tempfile::tempdir().expect("a folder");
    let (card, home) = (folder.path().join("card.png"), folder.path().join("home"));
    fs::write(&card, png(&Sheet::new("Nobody else"))).expect("a file");
    fs::create_dir(&home).expect("a folder");
    let natives = tokio::task::spawn_blocking(|| quire_native_libs::locate(&quire_native_libs::Progress::Silent));
    let natives = natives.await.expect("no panic").expect("the native parts");
    let models = natives.detection.parent().expect("models lie in a folder");
    let ended = quire_with(["read".as_ref(), card.as_os_str()], |command| {
        command.env("HOME", &home).env_remove("XDG_CACHE_HOME").env_remove("ORT_DISABLE_TELEMETRY");
        command.env("QUIRE_PROVIDER", "onnxruntime").env("ORT_DYLIB_PATH", &natives.onnxruntime);
        command.env("QUIRE_PDFIUM_PATH", &natives.pdfium).env("QUIRE_MODELS_DIR", models);
    });
    assert_eq!(squeezed(&ended.await.printed()), "Nobodyelse");
    // ONNX Runtime keeps what it reports in a database there, unless it is told not to before it is loaded.
    assert_eq!(files_below(&home), [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_this_build_cannot_use_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let card = folder.path().join("card.png");
    fs::write(&card, png(&Sheet::new("On the GPU"))).expect("a file");
    let read = quire(["read".as_ref(), "--device".as_ref(), "cuda".as_ref(), card.as_os_str()]).await;
    assert!(read.complaint().contains("--features cuda"), "{read:#?}");
    let data = folder.path().join("data");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--device", "cuda", "--data"].map(std::ffi::OsStr::new);
    let served = quire(serve.into_iter().chain([data.as_os_str()])).await;
    assert!(served.code.is_some_and(|code| code != 0), "{served:#?}");
    assert!(served.stderr.contains("--features cuda"), "{served:#?}");
}
