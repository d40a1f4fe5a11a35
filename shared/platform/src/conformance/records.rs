//! The record store.

use std::time::{Duration, Instant};

use quire_tasks::UnixMillis;
use tokio::task::JoinSet;

use super::{SETTLE_TIME, TIMEOUT, unique};
use crate::{
    Backend, Collection, Error, Record, now,
    records::{self, RecordUpdate, UpdateOptions},
};

const COLLECTION: Collection = Collection::Review;

fn after(from_now: Duration) -> UnixMillis {
    now().plus(from_now)
}

async fn put(backend: &Backend, key: &str, body: &str, version: Option<u64>) -> bool {
    backend.records.put(COLLECTION, key, body.to_owned(), version, None).await.expect("put")
}

async fn read(backend: &Backend, key: &str) -> Option<Record> {
    backend.records.read(COLLECTION, key).await.expect("read")
}

/// Writes a record and returns it.
async fn written(backend: &Backend, key: &str, body: &str) -> Record {
    backend.records.set(COLLECTION, key, body.to_owned(), None).await.expect("set");
    let record = read(backend, key).await.expect("it exists");
    assert_eq!((record.key.as_str(), record.body.as_str()), (key, body));
    record
}

/// The first writer wins.
pub async fn a_record_is_created_once(backend: &Backend) {
    let key = unique("record");
    assert_eq!(read(backend, &key).await, None);
    assert!(put(backend, &key, r#"{"text":"的 \" first"}"#, None).await);
    let made = read(backend, &key).await.expect("it exists");
    assert_eq!((made.key.as_str(), made.body.as_str()), (key.as_str(), r#"{"text":"的 \" first"}"#));
    assert!(!put(backend, &key, "2", None).await);
    assert_eq!(read(backend, &key).await, Some(made));
}

/// Optimistic concurrency: a write with an outdated version fails, even if the body is equal.
pub async fn a_record_is_replaced_only_by_its_version(backend: &Backend) {
    let key = unique("record");
    assert!(!put(backend, &key, "0", Some(1)).await, "there is none to replace");
    let first = written(backend, &key, "1").await;
    assert!(put(backend, &key, "1", Some(first.version)).await);
    let second = read(backend, &key).await.expect("it exists");
    assert_ne!(second.version, first.version);
    assert!(!put(backend, &key, "3", Some(first.version)).await);
    assert_eq!(read(backend, &key).await.as_ref(), Some(&second));
    let third = written(backend, &key, "3").await;
    assert!(!put(backend, &key, "4", Some(second.version)).await, "set is a writing, too");
    assert_eq!(read(backend, &key).await, Some(third));
}

/// Of concurrent writers with the same version one wins.
pub async fn one_of_many_concurrent_writes_succeeds(backend: &Backend) {
    const MANY: u32 = 8;
    let key = unique("record");
    let version = Some(written(backend, &key, "-1").await.version);
    let mut tries = JoinSet::new();
    for number in 0..MANY {
        let records = backend.records.clone();
        let key = key.clone();
        tries.spawn(async move {
            let won = records.put(COLLECTION, &key, number.to_string(), version, None).await.expect("put");
            won.then(|| number.to_string())
        });
    }
    let won: Vec<String> = tries.join_all().await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    assert_eq!(read(backend, &key).await.map(|record| record.body), won.into_iter().next());
}

/// An expired record does not exist for readers and writers.
pub async fn an_expired_record_does_not_exist(backend: &Backend) {
    let [key, made_anew, kept] = ["old", "made-anew", "kept"].map(unique);
    for key in [&key, &made_anew, &kept] {
        backend.records.set(COLLECTION, key, "1".to_owned(), Some(after(SETTLE_TIME))).await.expect("set");
    }
    let version = read(backend, &key).await.expect("it has not expired yet").version;
    let kept_seen = read(backend, &kept).await.expect("nor has this").version;
    assert!(put(backend, &kept, "2", Some(kept_seen)).await, "from now on it does not expire");
    let deadline = Instant::now() + TIMEOUT;
    while read(backend, &key).await.is_some() {
        assert!(Instant::now() < deadline, "it never expires");
        tokio::time::sleep(SETTLE_TIME / 10).await;
    }
    assert!(
        backend.records.list(COLLECTION, None, usize::MAX).await.expect("list").iter().all(|record| record.key != key)
    );
    assert!(!put(backend, &key, "2", Some(version)).await);
    for version in [Some(version), None] {
        assert!(!backend.records.delete(COLLECTION, &key, version).await.expect("delete"), "{version:?}");
    }
    assert!(put(backend, &made_anew, "2", None).await);
    for key in [made_anew, kept] {
        assert_eq!(read(backend, &key).await.map(|record| record.body).as_deref(), Some("2"));
    }
}

/// Deletion by version and unconditionally; versions of a deleted record are never valid again.
pub async fn a_deleted_record_does_not_exist(backend: &Backend) {
    let key = unique("record");
    let first = written(backend, &key, "1").await.version;
    let second = written(backend, &key, "2").await.version;
    assert!(!backend.records.delete(COLLECTION, &key, Some(first)).await.expect("delete"));
    assert_eq!(read(backend, &key).await.map(|record| record.version), Some(second));
    assert!(backend.records.delete(COLLECTION, &key, Some(second)).await.expect("delete"));
    assert_eq!(read(backend, &key).await, None);
    assert!(!backend.records.delete(COLLECTION, &key, None).await.expect("delete"), "twice");
    assert!(put(backend, &key, "1", None).await);
    for stale in [first, second] {
        assert!(!put(backend, &key, "3", Some(stale)).await, "another record had this version");
        assert!(!backend.records.delete(COLLECTION, &key, Some(stale)).await.expect("delete"));
    }
    assert!(backend.records.delete(COLLECTION, &key, None).await.expect("delete"));
    assert_eq!(read(backend, &key).await, None);
}

/// Pagination within one collection.
pub async fn records_are_listed_in_key_order(backend: &Backend) {
    let mark = unique("listed");
    let keys = ["#1/10", "#1/9", "-", "A", "a", "~"].map(|name| format!("{mark}{name}"));
    for key in keys.iter().rev() {
        written(backend, key, "1").await;
    }
    backend.records.set(Collection::Reports, &format!("{mark}B"), "1".to_owned(), None).await.expect("set");
    backend
        .records
        .set(COLLECTION, &format!("{mark}C"), "1".to_owned(), Some(after(Duration::ZERO)))
        .await
        .expect("set");
    let list = async |behind: &str, limit| {
        let records = backend.records.list(COLLECTION, Some(behind), limit).await.expect("list");
        let mine = records.into_iter().filter(|record| record.key.starts_with(&mark));
        mine.map(|record| record.key).collect::<Vec<_>>()
    };
    assert_eq!(list(&mark, usize::MAX).await, keys, "the mark itself is no key");
    assert_eq!(list(&mark, 4).await, keys[..4]);
    assert_eq!(list(&keys[3], 4).await, keys[4..], "what it begins behind is not in it");
    assert_eq!(list(&mark, 0).await, [""; 0]);
    assert_eq!(list(&keys[5], 4).await, [""; 0]);
    let all = backend.records.list(COLLECTION, None, usize::MAX).await.expect("list");
    assert!(all.is_sorted_by(|one, next| one.key < next.key));
    assert!(keys.iter().all(|key| all.iter().any(|record| record.key == *key)));
}

/// A key or body that one store would reject is rejected by every store.
pub async fn invalid_keys_and_bodies_are_refused(backend: &Backend) {
    let refused = |kept: Result<(), Error>| assert!(matches!(kept, Err(Error::Failed { .. })), "{kept:?}");
    let longest = format!("{}{}", unique("long"), "x".repeat(256))[..256].to_owned();
    written(backend, &longest, "1").await;
    for key in ["", "a key", "ключ", "a\n", &format!("{longest}x")] {
        refused(backend.records.read(COLLECTION, key).await.map(drop));
        refused(backend.records.put(COLLECTION, key, "1".to_owned(), None, None).await.map(drop));
        refused(backend.records.set(COLLECTION, key, "1".to_owned(), None).await);
        refused(backend.records.delete(COLLECTION, key, None).await.map(drop));
        refused(backend.records.list(COLLECTION, Some(key), 1).await.map(drop));
    }
    let key = unique("large");
    let large = "1".repeat(128 * 1024);
    written(backend, &key, &large).await;
    refused(backend.records.set(COLLECTION, &key, format!("{large}1"), None).await);
    refused(backend.records.put(COLLECTION, &unique("larger"), format!("{large}1"), None, None).await.map(drop));
    for key in [longest, key] {
        backend.records.delete(COLLECTION, &key, None).await.expect("delete");
    }
}

/// Partitions with a common prefix are separate.
pub async fn a_partition_is_listed_on_its_own(backend: &Backend) {
    for collection in [Collection::Deliveries, Collection::Endpoints] {
        let partition = unique("partition");
        let keys = ["#", "1", "2", "2/3", "~"].map(|name| format!("{partition}/{name}"));
        let others = [format!("{partition}0/1"), format!("{partition}-/1"), format!("{partition}a/1")];
        for key in keys.iter().chain(&others).rev() {
            backend.records.set(collection, key, "1".to_owned(), None).await.expect("set");
        }
        let gone = format!("{partition}/gone");
        backend.records.set(collection, &gone, "1".to_owned(), Some(after(Duration::ZERO))).await.expect("set");
        let list = async |partition: &str, behind: Option<&str>, limit| {
            let records = backend.records.list_partition(collection, partition, behind, limit).await.expect("list");
            records.into_iter().map(|record| record.key).collect::<Vec<_>>()
        };
        assert_eq!(list(&partition, None, usize::MAX).await, keys, "{collection:?}");
        assert_eq!(list(&partition, None, 2).await, keys[..2]);
        assert_eq!(list(&partition, Some(&keys[1]), 2).await, keys[2..4]);
        assert_eq!(list(&partition, Some(&keys[4]), 2).await, [""; 0]);
        assert_eq!(list(&partition, Some(&others[0]), 2).await, [""; 0], "of a partition behind this one");
        assert_eq!(list(&partition, Some(&others[1]), 2).await, keys[..2], "of a partition before it");
        assert_eq!(list(&partition, None, 0).await, [""; 0]);
        assert_eq!(list(&format!("{partition}0"), None, 9).await, others[..1]);
        assert_eq!(list(&unique("empty"), None, 9).await, [""; 0]);
        assert_eq!(
            backend.records.read(collection, &keys[3]).await.expect("read").map(|found| found.key),
            Some(keys[3].clone())
        );
        assert!(backend.records.delete(collection, &keys[3], None).await.expect("delete"));
        assert_eq!(list(&partition, Some(&keys[2]), 9).await, keys[4..]);
    }
}

/// Partitioned collections need a partition in the key and cannot be listed as a whole.
pub async fn partitioned_collections_are_listed_by_partition(backend: &Backend) {
    let refused = |kept: Result<(), Error>| assert!(matches!(kept, Err(Error::Failed { .. })), "{kept:?}");
    for collection in Collection::ALL.into_iter().filter(|collection| collection.is_partitioned()) {
        refused(backend.records.list(collection, None, 1).await.map(drop));
        for key in ["partition", "partition/", "/name", "/"] {
            refused(backend.records.set(collection, key, "1".to_owned(), None).await);
            refused(backend.records.read(collection, key).await.map(drop));
        }
        for partition in ["", "a/b", "a b", "/"] {
            refused(backend.records.list_partition(collection, partition, None, 1).await.map(drop));
        }
        refused(backend.records.list_partition(collection, "partition", Some("partition"), 1).await.map(drop));
    }
}

/// Of concurrent updates of one record, each is applied once.
pub async fn concurrent_updates_are_all_applied(backend: &Backend) {
    const UPDATES: u64 = 8;
    const OPTIONS: UpdateOptions = UpdateOptions { what: "a counter", attempts: 100, retry_busy: true };
    let key = unique("counter");
    let mut updates = JoinSet::new();
    for _ in 0..UPDATES {
        let records = backend.records.clone();
        let key = key.clone();
        updates.spawn(async move {
            let increment = |count: Option<u64>| {
                let value = count.unwrap_or_default() + 1;
                RecordUpdate::Put { value, result: value }
            };
            records::update(records.as_ref(), COLLECTION, &key, OPTIONS, increment).await.expect("updated")
        });
    }
    let mut results = updates.join_all().await;
    results.sort_unstable();
    assert_eq!(results, (1..=UPDATES).collect::<Vec<_>>());
    let keep = |count: Option<u64>| RecordUpdate::<u64, _>::Keep(count);
    let kept = records::update(backend.records.as_ref(), COLLECTION, &key, OPTIONS, keep).await;
    assert_eq!(kept.expect("read"), Some(UPDATES));
    backend.records.set(COLLECTION, &key, "no number".to_owned(), None).await.expect("set");
    let malformed = records::update(backend.records.as_ref(), COLLECTION, &key, OPTIONS, keep).await;
    assert!(matches!(malformed, Err(Error::Failed { what: "a counter", .. })), "{malformed:?}");
}
