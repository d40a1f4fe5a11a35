//! A full disk, and a data folder that cannot be written.

use std::{fs, path::Path};

use crate::harness::{
    CommandOutput, ServeOptions, ServeProcess, TestPage, UploadFile, files_below, png, quire, quire_with, raw_bmp,
    text_of, without_whitespace,
};

/// 16 MiB in blocks of 512 bytes: enough for the database, too small for the image below.
const FILE_LIMIT: u32 = 32 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_rejects_a_large_upload_and_stores_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).file_limit(FILE_LIMIT)).await;
    let too_large = UploadFile::new("wall.bmp", raw_bmp(3000, 2500));
    for answer in [
        serve.api().ocr(too_large.clone()).await,
        serve.api().batch([too_large.clone()]).await,
        serve.api().submit_without_callback([too_large]).await,
    ] {
        assert_eq!(answer.problem_code(507), "storage_full");
    }
    assert_eq!(files_below(&serve.data().join("spool")), [""; 0]);
    assert_eq!(files_below(&serve.objects()), [""; 0]);
    let body =
        serve.api().ocr(UploadFile::new("note.png", png(&TestPage::new("Still there")))).await.expect_status(200);
    assert_eq!(without_whitespace(text_of(&body)), "Stillthere");
}

async fn serve_in(data: &Path) -> CommandOutput {
    quire(["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().expect("the path is UTF-8")]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_a_data_folder_that_cannot_be_created() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    fs::write(&file, "no folder").expect("the file can be written");
    let card = folder.path().join("card.png");
    fs::write(&card, png(&TestPage::new("Card"))).expect("the file can be written");
    let data = file.join("data");
    let data = data.to_str().expect("the path is UTF-8");
    let card = card.to_str().expect("the path is UTF-8");
    for ended in [
        serve_in(Path::new(data)).await,
        quire(["read", "--data", data, card]).await,
        quire(["webhook-secret", "--data", data]).await,
    ] {
        assert!(ended.expect_error_line().contains(data), "{ended:#?}");
    }
    assert_eq!(fs::read_to_string(&file).expect("the file exists"), "no folder");
}

/// Runs as another user if the tests run as root, since root can write to read-only folders.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_a_data_folder_that_cannot_be_written() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    /// The user id of `nobody`.
    const NOBODY_UID: u32 = 65534;

    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("a temporary folder");
    let is_root = fs::metadata(&data).expect("the file exists").uid() == 0;
    for (path, mode) in [(folder.path(), 0o755), (&data, 0o555)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the permissions can be changed");
    }
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().expect("the path is UTF-8")];
    let ended = quire_with(arguments, |command| {
        if is_root {
            command.uid(NOBODY_UID);
        }
    })
    .await;
    assert!(ended.expect_error_line().contains(data.to_str().expect("the path is UTF-8")), "{ended:#?}");
    assert_eq!(files_below(&data), [""; 0]);
}
