//! Keys, limits and secrets, as an operator handles them.

use crate::harness::quire;

/// A documentation address (RFC 5737): no machine has it, so nobody ever listens there.
const BEYOND: &str = "192.0.2.1:8000";

#[tokio::test(flavor = "multi_thread")]
async fn beyond_this_machine_nobody_is_served_before_there_is_a_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("a plain path");
    let serve = || quire(["serve", "--listen", BEYOND, "--workers", "0", "--data", data]);
    let refused = serve().await;
    let complaint = refused.complaint();
    assert!(complaint.contains("192.0.2.1") && complaint.contains("quire keys create"), "{complaint}");
    quire(["keys", "create", "--data", data]).await.printed();
    let elsewhere = serve().await;
    assert!(elsewhere.complaint().contains("cannot listen on 192.0.2.1:8000"), "the key is enough: {elsewhere:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_printed_once_listed_without_itself_and_revoked_by_its_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("a plain path");
    let made = quire(["keys", "create", "--tenant", "acme", "--name", "scanner", "--data", data]).await.printed();
    let key = made.trim_end();
    assert!(key.starts_with("quire_") && key.len() == 49 && made.lines().count() == 1, "a key alone");
    let listed = quire(["keys", "list", "--data", data]).await.printed();
    let cells: Vec<&str> = listed.trim_end().split('\t').collect();
    assert_eq!((cells[1], cells[2], cells[4]), ("acme", "scanner", "active"));
    assert!(!listed.contains(key));
    let revoked = quire(["keys", "revoke", cells[0], "--data", data]).await.printed();
    assert!(revoked.starts_with(cells[0]) && revoked.contains("\trevoked "), "{revoked}");
    let unknown = quire(["keys", "revoke", "0123456789ab", "--data", data]).await;
    assert!(unknown.complaint().contains("quire keys list"), "{unknown:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_set_shown_and_lifted() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("a plain path");
    let limits = async |arguments: &[&str]| {
        quire([&["tenants"], arguments, &["--data", data]].concat())
            .await
            .printed()
            .replace('\t', "=")
            .replace('\n', " ")
    };
    let set = limits(&["set", "acme", "--requests-per-minute", "600", "--pages-per-day", "1000"]).await;
    assert_eq!(set, "requests-per-minute=600 burst=600 pages-per-day=1000 ");
    assert_eq!(limits(&["show", "acme"]).await, set);
    let lifted = limits(&["set", "acme", "--pages-per-day", "none"]).await;
    assert_eq!(lifted, "requests-per-minute=600 burst=600 pages-per-day=none ");
    assert_eq!(limits(&["show", "other"]).await, "requests-per-minute=none burst=none pages-per-day=none ");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tenant_has_a_secret_that_stays_until_it_is_rotated() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("a plain path");
    let secret = async |more: &[&str]| quire([&["webhook-secret", "--data", data], more].concat()).await.printed();
    let first = secret(&[]).await;
    assert!(first.starts_with("whsec_"));
    assert_eq!(secret(&["--tenant", "default"]).await, first);
    assert_ne!(secret(&["--tenant", "acme"]).await, first);
    let rotated = secret(&["--rotate"]).await;
    assert_ne!(rotated, first);
    assert_eq!(secret(&[]).await, rotated);
}
