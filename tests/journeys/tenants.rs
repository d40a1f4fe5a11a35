//! The commands for API keys, rate limits and webhook secrets.

use crate::harness::{expected_texts, quire};

/// A documentation address (RFC 5737), which no machine has.
const REMOTE_ADDRESS: &str = "192.0.2.1:8000";

#[tokio::test(flavor = "multi_thread")]
async fn a_public_address_requires_an_api_key() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().to_str().expect("the path is UTF-8");
    let serve = || quire(["serve", "--listen", REMOTE_ADDRESS, "--workers", "0", "--data", data]);
    let refused = serve().await;
    let error = refused.expect_error_line();
    assert!(error.contains("192.0.2.1") && error.contains("quire keys create"), "{error}");
    quire(["keys", "create", "--data", data]).await.expect_stdout();
    let permitted = serve().await;
    let expected = format!("{} on {REMOTE_ADDRESS}", expected_texts::CANNOT_LISTEN);
    assert!(permitted.expect_error_line().contains(&expected), "only the address is left to fail: {permitted:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_printed_once_and_then_listed_and_revoked_by_its_id() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().to_str().expect("the path is UTF-8");
    let made = quire(["keys", "create", "--tenant", "acme", "--name", "scanner", "--data", data]).await.expect_stdout();
    let key = made.trim_end();
    assert!(key.starts_with("quire_") && key.len() == 49 && made.lines().count() == 1, "only the key is printed");
    let listed = quire(["keys", "list", "--data", data]).await.expect_stdout();
    let cells: Vec<&str> = listed.trim_end().split('\t').collect();
    assert_eq!((cells[1], cells[2], cells[4]), ("acme", "scanner", expected_texts::KEY_ACTIVE));
    assert!(!listed.contains(key));
    let revoked = quire(["keys", "revoke", cells[0], "--data", data]).await.expect_stdout();
    assert!(revoked.starts_with(cells[0]) && revoked.contains(expected_texts::KEY_REVOKED), "{revoked}");
    let unknown = quire(["keys", "revoke", "0123456789ab", "--data", data]).await;
    assert!(unknown.expect_error_line().contains("quire keys list"), "{unknown:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_set_shown_and_removed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().to_str().expect("the path is UTF-8");
    let limits = async |arguments: &[&str]| {
        quire([&["tenants"], arguments, &["--data", data]].concat())
            .await
            .expect_stdout()
            .replace('\t', "=")
            .replace('\n', " ")
    };
    // The limit, its value, what is used of it, and whether it is the tenant's own.
    let defaults = "pages-per-task=10000=-=default stored-bytes=none=-=default open-tasks=none=-=default ";
    let set = limits(&["set", "acme", "--requests-per-minute", "600", "--pages-per-day", "1000"]).await;
    assert_eq!(set, format!("requests-per-minute=600=-=own burst=600=-=own pages-per-day=1000=0=own {defaults}"));
    assert_eq!(limits(&["show", "acme"]).await, set);
    let removed = limits(&["set", "acme", "--pages-per-day", "none"]).await;
    assert_eq!(removed, format!("requests-per-minute=600=-=own burst=600=-=own pages-per-day=none=-=own {defaults}"));
    let other = "requests-per-minute=none=-=default burst=none=-=default pages-per-day=none=-=default";
    assert_eq!(limits(&["show", "other"]).await, format!("{other} {defaults}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tenant_keeps_its_secret_until_it_is_rotated() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().to_str().expect("the path is UTF-8");
    let secret =
        async |more: &[&str]| quire([&["webhook-secret", "--data", data], more].concat()).await.expect_stdout();
    let first = secret(&[]).await;
    assert!(first.starts_with("whsec_"));
    assert_eq!(secret(&["--tenant", "default"]).await, first);
    assert_ne!(secret(&["--tenant", "acme"]).await, first);
    let rotated = secret(&["--rotate"]).await;
    assert_ne!(rotated, first);
    assert_eq!(secret(&[]).await, rotated);
}
