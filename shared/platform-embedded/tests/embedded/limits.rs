//! Folders without write permission, and full disks.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use quire_platform::{Error, OutgoingMessage, QueueName};
use quire_platform_embedded::Embedded;

/// If set, this test is the process with little space, and the value is its data folder.
const CHILD: &str = "QUIRE_TEST_FULL";

#[test]
fn the_error_names_a_folder_that_cannot_be_created() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("file");
    fs::write(&file, "x").expect("a file");
    for below in [file.clone(), file.join("data")] {
        let error = Embedded::open(&below, "test").expect_err("below a file");
        assert!(matches!(error, Error::Failed { .. }));
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    }
}

#[test]
fn the_error_names_a_database_that_cannot_be_opened() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(dir.path().join("quire.db")).expect("a folder in its place");
    let error = Embedded::open(dir.path(), "test").expect_err("no database");
    assert!(matches!(error, Error::Failed { .. }));
    assert!(error.to_string().contains("quire.db"), "{error}");
}

#[test]
fn a_full_disk_is_an_error_and_leaves_nothing_half_written() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if let Some(dir) = env::var_os(CHILD) {
        return runtime.block_on(fill(Path::new(&dir)));
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let this = env::current_exe().expect("the path of this program");
    // A file size limit acts like a full disk. Its unit is 512 or 1024 bytes, depending on the shell.
    let child = Command::new("sh")
        .args(["-c", r#"ulimit -f 512; trap "" XFSZ; exec "$0" "$@""#])
        .arg(this)
        .args(["limits::a_full_disk_is_an_error_and_leaves_nothing_half_written", "--exact", "--nocapture"])
        .env(CHILD, dir.path())
        .stdout(Stdio::null())
        .output()
        .expect("a child process");
    let output = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{output}");
    let sent: u64 = output.trim().parse().expect("the number of sent messages");

    runtime.block_on(async {
        let backend = Embedded::open(dir.path(), "test").expect("open the backend").backend();
        let depth = backend.queue(QueueName::Pages).depth().await.expect("depth");
        assert_eq!(depth.ready, sent, "exactly the messages that were sent");
        assert_eq!(backend.objects.list("").await.expect("list"), ["small"]);
        assert_eq!(backend.objects.read("small").await.expect("read"), "text");
        let spool = fs::read_dir(backend.objects.spool()).expect("the spool");
        assert_eq!(spool.count(), 0);
    });
}

async fn fill(dir: &Path) {
    let embedded = Embedded::open(dir, "test").expect("open the backend");
    let backend = embedded.backend();
    let large = vec![7; 2_000_000];
    assert!(matches!(backend.objects.put("large", large.clone().into()).await, Err(Error::Full { .. })));
    assert!(matches!(backend.objects.put_new("new", large.clone().into()).await, Err(Error::Full { .. })));
    backend.objects.put("small", "text".into()).await.expect("a small one fits");
    assert!(matches!(backend.objects.put("small", large.into()).await, Err(Error::Full { .. })));

    let queue = backend.queue(QueueName::Pages);
    let mut sent = 0;
    let error = loop {
        let message =
            OutgoingMessage { body: "x".repeat(10_000), group: "acme".to_owned(), delay: Duration::ZERO, trace: None };
        match queue.send(vec![message; 3]).await {
            Ok(()) => sent += 3,
            Err(error) => break error,
        }
        assert!(sent < 1_000, "the disk never fills");
    };
    assert!(matches!(error, Error::Full { .. } | Error::Failed { .. }), "{error}");
    assert!(error.to_string().contains("database"), "{error}");
    assert_eq!(queue.depth().await.expect("reading still works").ready, sent);
    eprintln!("{sent}");
}
