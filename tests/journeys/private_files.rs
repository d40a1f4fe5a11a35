//! The data folder is accessible by its owner only, whatever creates it.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use crate::harness::{QUIRE, ServeOptions, ServeProcess, TestPage, UploadFile, files_below, png};

/// Returns the files and folders to which other users have access, with their modes.
fn exposed(folder: &Path) -> Vec<String> {
    let mut find = Command::new("find");
    find.arg(folder).args(["!", "-type", "l", "-perm", "/077", "-printf", "%m %p\\n"]);
    let listed = find.output().expect("find can be run");
    assert!(listed.status.success());
    String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_files_are_private_whatever_the_umask_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    // An operator's command may be the first that writes there.
    let script = "umask 000; exec \"$0\" webhook-secret --data \"$1\"";
    let status = Command::new("sh").args(["-c", script, QUIRE]).arg(&data).output().expect("sh can be run").status;
    assert!(status.success());
    assert_eq!(exposed(&data), [""; 0]);

    let options = ServeOptions::new(folder.path()).workers(0).prelude("umask 000");
    let mut serve = ServeProcess::start(options).await;
    let page = UploadFile::new("page.png", png(&TestPage::new("Private")));
    serve.api().submit_without_callback([page]).await.accepted_task_id();
    assert!(files_below(&data).iter().any(|file| file == "quire.db-wal"), "{:?}", files_below(&data));
    assert_eq!(exposed(&data), [""; 0]);
    assert!(serve.stop().await.success());
    assert_eq!(exposed(&data), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wide_modes_are_corrected_at_the_next_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut serve = ServeProcess::start(ServeOptions::new(folder.path()).workers(0)).await;
    let page = UploadFile::new("page.png", png(&TestPage::new("Private")));
    serve.api().submit_without_callback([page]).await.accepted_task_id();
    assert!(serve.stop().await.success());
    let data = serve.data();
    let widened = Command::new("chmod").args(["-R", "a+rwX"]).arg(&data).status().expect("chmod can be run");
    assert!(widened.success());
    // A symbolic link is not followed.
    let outside = folder.path().join("outside");
    fs::write(&outside, "x").expect("a file");
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o644)).expect("an own file");
    std::os::unix::fs::symlink(&outside, data.join("link")).expect("a link");
    serve.restart();
    serve.await_healthy().await;
    assert_eq!(exposed(&data), [""; 0]);
    assert_eq!(fs::metadata(&outside).expect("it exists").permissions().mode() & 0o777, 0o644);
}
