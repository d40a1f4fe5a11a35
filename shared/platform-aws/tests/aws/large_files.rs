//! Objects too large for one request (multipart uploads).

use std::fs;

use crate::open;

#[tokio::test]
async fn a_large_file_is_uploaded_in_parts() {
    let (backend, ()) = open().await;
    let file = backend.objects.spool().join("large");
    let bytes: Vec<u8> = (0..9_000_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(&file, &bytes).expect("a file");
    backend.objects.put_file("documents/large/1", &file).await.expect("put");
    assert!(backend.objects.read("documents/large/1").await.expect("read") == bytes);
    let copy = backend.objects.local_file("documents/large/1").await.expect("a copy");
    assert!(fs::read(&copy).expect("the copy") == bytes);
    assert_eq!(backend.objects.local_file("documents/large/1").await.expect("the same copy"), copy);
}
