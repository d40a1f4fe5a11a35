//! The object store.

use std::fs;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::unique;
use crate::{Backend, Download, Error};

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// Objects of any size are read back.
pub async fn an_object_that_was_put_is_read_back(backend: &Backend) {
    for (size, name) in [(0, "empty"), (1, "one"), (3_000_000, "large")] {
        let key = format!("{}/{name}", unique("put"));
        let content: Bytes = (0..size).map(|n: u32| n.to_le_bytes()[0]).collect();
        backend.objects.put(&key, content.clone()).await.expect("put");
        assert_eq!(backend.objects.read(&key).await.expect("read"), content, "{name}");
    }
}

/// The last write wins.
pub async fn a_second_put_replaces_the_first(backend: &Backend) {
    let key = unique("replaced");
    backend.objects.put(&key, bytes("the first, and longer")).await.expect("put");
    backend.objects.put(&key, bytes("the second")).await.expect("put again");
    assert_eq!(backend.objects.read(&key).await.expect("read"), "the second");
}

/// `put_new` does not overwrite.
pub async fn put_new_writes_once(backend: &Backend) {
    let key = format!("{}/a/b", unique("new"));
    assert!(backend.objects.put_new(&key, bytes("the first")).await.expect("put"));
    assert!(!backend.objects.put_new(&key, bytes("the second")).await.expect("not put"));
    assert_eq!(backend.objects.read(&key).await.expect("read"), "the first");
}

/// Of concurrent `put_new` calls one wins, and the object is complete.
pub async fn one_of_many_concurrent_put_new_calls_succeeds(backend: &Backend) {
    let key = unique("contended");
    let mut tries = JoinSet::new();
    for n in 0..8_u8 {
        let objects = backend.objects.clone();
        let key = key.clone();
        tries.spawn(async move { (n, objects.put_new(&key, vec![n; 100_000].into()).await.expect("put")) });
    }
    let winners: Vec<u8> = tries.join_all().await.into_iter().filter_map(|(n, won)| won.then_some(n)).collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(backend.objects.read(&key).await.expect("read"), vec![winners[0]; 100_000]);
}

/// Files from the spool and from other folders become objects.
pub async fn a_file_becomes_an_object(backend: &Backend) {
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    for folder in [backend.objects.spool(), elsewhere.path().to_owned()] {
        let key = format!("{}/1", unique("file"));
        let file = folder.join(unique("upload"));
        fs::write(&file, "a document").expect("a file");
        backend.objects.put_file(&key, &file).await.expect("put");
        assert_eq!(backend.objects.read(&key).await.expect("read"), "a document");
        // The file may have been moved or copied.
        let _ = fs::remove_file(file);
    }
}

/// An object is available as a file.
pub async fn an_object_can_be_read_as_a_file(backend: &Backend) {
    let key = format!("{}/1", unique("local"));
    backend.objects.put(&key, bytes("a document")).await.expect("put");
    let file = backend.objects.local_file(&key).await.expect("a file");
    assert_eq!(fs::read(file).expect("read"), b"a document");
}

/// Nothing is written if the object is too large.
pub async fn a_download_is_complete_or_refused_by_size(backend: &Backend) {
    let key = format!("{}/1", unique("download"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let download = async |key: &str, max_bytes, name: &str| {
        backend.objects.download(key, None, max_bytes, &folder.path().join(name)).await
    };
    backend.objects.put(&key, bytes("a document")).await.expect("put");
    assert_eq!(download(&key, 9, "large").await.expect("an answer"), Download::TooLarge { bytes: 10 });
    assert!(!folder.path().join("large").exists());
    assert_eq!(download(&key, 10, "whole").await.expect("downloaded"), Download::Whole { bytes: 10 });
    assert_eq!(fs::read(folder.path().join("whole")).expect("read"), b"a document");
    assert!(matches!(download(&unique("missing"), 10, "missing").await, Err(Error::NotFound { .. })));
    let nowhere = download(&key, 10, "no/folder").await;
    assert!(matches!(nowhere, Err(Error::Failed { .. })), "the object is there, its target is not: {nowhere:?}");
}

/// A prefix may end within a name.
pub async fn a_list_is_sorted_and_filtered_by_prefix(backend: &Backend) {
    let root = unique("list");
    for name in ["b/2", "a/10", "a/9", "ab", "c"] {
        backend.objects.put(&format!("{root}/{name}"), bytes("x")).await.expect("put");
    }
    for (prefix, expected) in
        [("", vec!["a/10", "a/9", "ab", "b/2", "c"]), ("a", vec!["a/10", "a/9", "ab"]), ("a/", vec!["a/10", "a/9"])]
    {
        let keys = backend.objects.list(&format!("{root}/{prefix}")).await.expect("list");
        let expected: Vec<String> = expected.into_iter().map(|name| format!("{root}/{name}")).collect();
        assert_eq!(keys, expected, "{prefix:?}");
    }
    assert!(backend.objects.list(&unique("nothing")).await.expect("list").is_empty());
}

/// Deletion is idempotent.
pub async fn a_deleted_object_does_not_exist(backend: &Backend) {
    let key = format!("{}/1", unique("deleted"));
    backend.objects.put(&key, bytes("x")).await.expect("put");
    for _ in 0..2 {
        backend.objects.delete(&key).await.expect("delete");
        assert!(matches!(backend.objects.read(&key).await, Err(Error::NotFound { .. })));
        assert!(backend.objects.list(&key).await.expect("list").is_empty());
    }
}

/// A missing object is a distinct error.
pub async fn missing_things_are_not_found(backend: &Backend) {
    let key = format!("{}/1", unique("missing"));
    assert!(matches!(backend.objects.read(&key).await, Err(Error::NotFound { .. })));
    assert!(matches!(backend.objects.local_file(&key).await, Err(Error::NotFound { .. })));
}

/// All objects with the prefix are erased, also if it ends within a name, and no others.
pub async fn all_keys_with_a_prefix_are_erased(backend: &Backend) {
    let mark = unique("erased");
    let key = |name: &str| format!("{mark}/{name}");
    for name in ["a/1", "a/2/3", "a/2/4", "ab", "b/task-1", "b/task-2", "b/tas", "b/taskless"] {
        backend.objects.put(&key(name), bytes("x")).await.expect("put");
    }
    assert_eq!(backend.objects.erase(&key("a/")).await.expect("erase"), 3);
    let left = ["ab", "b/tas", "b/task-1", "b/task-2", "b/taskless"].map(key);
    assert_eq!(backend.objects.list(&mark).await.expect("list"), left);
    assert_eq!(backend.objects.erase(&key("b/task-")).await.expect("erase"), 2);
    assert_eq!(backend.objects.erase(&key("b/task-")).await.expect("erase"), 0, "it is gone");
    assert_eq!(backend.objects.erase(&key("never/")).await.expect("erase"), 0);
    assert_eq!(backend.objects.list(&mark).await.expect("list"), ["ab", "b/tas", "b/taskless"].map(key));
    backend.objects.put(&key("a/1"), bytes("anew")).await.expect("put");
    assert_eq!(backend.objects.read(&key("a/1")).await.expect("read"), "anew");
    for _ in 0..2 {
        backend.objects.erase_version(&key("b/tas"), None).await.expect("erase");
    }
    assert_eq!(backend.objects.list(&mark).await.expect("list"), ["a/1", "ab", "b/taskless"].map(key));
}

/// An empty prefix would erase everything.
pub async fn an_empty_prefix_erases_nothing(backend: &Backend) {
    let key = unique("kept");
    backend.objects.put(&key, bytes("x")).await.expect("put");
    let refused = backend.objects.erase("").await;
    assert!(matches!(refused, Err(Error::Failed { .. })), "{refused:?}");
    assert_eq!(backend.objects.read(&key).await.expect("read"), "x");
}
