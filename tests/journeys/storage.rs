//! A disk that is full, and a folder that cannot be written.

use std::{fs, path::Path};

use crate::harness::{Ended, Launch, Serve, Sheet, Upload, files_below, png, quire, raw_bmp, squeezed, text_of};

/// 16 MiB in blocks of 512 bytes: plenty for the database, too little for the picture below.
const FILE_LIMIT: u32 = 32 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_what_does_not_fit_and_keeps_nothing_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = Serve::start(Launch::new(folder.path()).file_limit(FILE_LIMIT)).await;
    let too_large = Upload::new("wall.bmp", raw_bmp(3000, 2500));
    for answer in [
        serve.api().ocr(too_large.clone()).await,
        serve.api().batch([too_large.clone()]).await,
        serve.api().submit_without_callback([too_large]).await,
    ] {
        assert_eq!(answer.problem(507), "storage_full");
    }
    assert_eq!(files_below(&serve.data().join("spool")), [""; 0]);
    assert_eq!(files_below(&serve.objects()), [""; 0]);
    let body = serve.api().ocr(Upload::new("note.png", png(&Sheet::new("Still there")))).await.body(200);
    assert_eq!(squeezed(text_of(&body)), "Stillthere");
}

async fn serve_in(data: &Path) -> Ended {
    quire(["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().expect("a plain path")]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_that_cannot_be_made_is_named_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "no folder").expect("a file");
    let card = folder.path().join("card.png");
    fs::write(&card, png(&Sheet::new("Card"))).expect("a file");
    let data = file.join("data");
    let data = data.to_str().expect("a plain path");
    let card = card.to_str().expect("a plain path");
    for ended in [
        serve_in(Path::new(data)).await,
        quire(["read", "--data", data, card]).await,
        quire(["webhook-secret", "--data", data]).await,
    ] {
        assert!(ended.complaint().contains(data), "{ended:#?}");
    }
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "no folder");
}

/// As another user where the tests run as root, for whom no folder is read-only.
#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_that_cannot_be_written_is_named_in_one_line() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    const NOBODY: u32 = 65534;

    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("a folder");
    let is_root = fs::metadata(&data).expect("it is there").uid() == 0;
    for (path, mode) in [(folder.path(), 0o755), (&data, 0o555)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    }
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().expect("a plain path")];
    let ended = crate::harness::quire_with(arguments, |command| {
        if is_root {
            command.uid(NOBODY);
        }
    })
    .await;
    assert!(ended.complaint().contains(data.to_str().expect("a plain path")), "{ended:#?}");
    assert_eq!(files_below(&data), [""; 0]);
}
