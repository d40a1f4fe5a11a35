//! What every store of records promises.

use std::time::{Duration, Instant};

use quire_tasks::UnixMillis;
use tokio::task::JoinSet;

use super::{A_MOMENT, AT_LENGTH, unique};
use crate::{Backend, Collection, Error, Record, now};

const SHELF: Collection = Collection::Review;

fn after(from_now: Duration) -> UnixMillis {
    now().plus(from_now)
}

async fn put(backend: &Backend, key: &str, body: &str, seen: Option<u64>) -> bool {
    backend.records.put(SHELF, key, body.to_owned(), seen, None).await.expect("put")
}

async fn read(backend: &Backend, key: &str) -> Option<Record> {
    backend.records.read(SHELF, key).await.expect("read")
}

/// A record that is there.
async fn written(backend: &Backend, key: &str, body: &str) -> Record {
    backend.records.set(SHELF, key, body.to_owned(), None).await.expect("set");
    let record = read(backend, key).await.expect("it is there");
    assert_eq!((record.key.as_str(), record.body.as_str()), (key, body));
    record
}

/// Among those who make it, the first decides.
pub async fn a_record_is_made_once(backend: &Backend) {
    let key = unique("record");
    assert_eq!(read(backend, &key).await, None);
    assert!(put(backend, &key, r#"{"text":"的 \" first"}"#, None).await);
    let made = read(backend, &key).await.expect("it is there");
    assert_eq!((made.key.as_str(), made.body.as_str()), (key.as_str(), r#"{"text":"的 \" first"}"#));
    assert!(!put(backend, &key, "2", None).await);
    assert_eq!(read(backend, &key).await, Some(made));
}

/// Whoever has seen an older one has to look again, even where the same was written since.
pub async fn a_record_is_replaced_only_by_who_has_seen_it(backend: &Backend) {
    let key = unique("record");
    assert!(!put(backend, &key, "0", Some(1)).await, "there is none to replace");
    let first = written(backend, &key, "1").await;
    assert!(put(backend, &key, "1", Some(first.version)).await);
    let second = read(backend, &key).await.expect("it is there");
    assert_ne!(second.version, first.version);
    assert!(!put(backend, &key, "3", Some(first.version)).await);
    assert_eq!(read(backend, &key).await.as_ref(), Some(&second));
    let third = written(backend, &key, "3").await;
    assert!(!put(backend, &key, "4", Some(second.version)).await, "set is a writing, too");
    assert_eq!(read(backend, &key).await, Some(third));
}

/// That is what makes counting together possible.
pub async fn of_many_who_replace_a_record_one_succeeds(backend: &Backend) {
    const MANY: u32 = 8;
    let key = unique("record");
    let seen = Some(written(backend, &key, "-1").await.version);
    let mut tries = JoinSet::new();
    for number in 0..MANY {
        let (records, key) = (backend.records.clone(), key.clone());
        tries.spawn(async move {
            let won = records.put(SHELF, &key, number.to_string(), seen, None).await.expect("put");
            won.then(|| number.to_string())
        });
    }
    let won: Vec<String> = tries.join_all().await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    assert_eq!(read(backend, &key).await.map(|record| record.body), won.into_iter().next());
}

/// Neither for those who read it, nor for those who write in its place.
pub async fn an_expired_record_is_not_there(backend: &Backend) {
    let [key, made_anew, kept] = ["old", "made-anew", "kept"].map(unique);
    for key in [&key, &made_anew, &kept] {
        backend.records.set(SHELF, key, "1".to_owned(), Some(after(A_MOMENT))).await.expect("set");
    }
    let seen = read(backend, &key).await.expect("it has not expired yet").version;
    let kept_seen = read(backend, &kept).await.expect("nor has this").version;
    assert!(put(backend, &kept, "2", Some(kept_seen)).await, "from now on it does not expire");
    let deadline = Instant::now() + AT_LENGTH;
    while read(backend, &key).await.is_some() {
        assert!(Instant::now() < deadline, "it never expires");
        tokio::time::sleep(A_MOMENT / 10).await;
    }
    assert!(backend.records.list(SHELF, None, usize::MAX).await.expect("list").iter().all(|record| record.key != key));
    assert!(!put(backend, &key, "2", Some(seen)).await);
    for seen in [Some(seen), None] {
        assert!(!backend.records.delete(SHELF, &key, seen).await.expect("delete"), "{seen:?}");
    }
    assert!(put(backend, &made_anew, "2", None).await);
    for key in [made_anew, kept] {
        assert_eq!(read(backend, &key).await.map(|record| record.body).as_deref(), Some("2"));
    }
}

/// By whoever has seen it, or by whoever does not care; and what was seen of it never comes again.
pub async fn a_deleted_record_is_gone(backend: &Backend) {
    let key = unique("record");
    let first = written(backend, &key, "1").await.version;
    let second = written(backend, &key, "2").await.version;
    assert!(!backend.records.delete(SHELF, &key, Some(first)).await.expect("delete"));
    assert_eq!(read(backend, &key).await.map(|record| record.version), Some(second));
    assert!(backend.records.delete(SHELF, &key, Some(second)).await.expect("delete"));
    assert_eq!(read(backend, &key).await, None);
    assert!(!backend.records.delete(SHELF, &key, None).await.expect("delete"), "twice");
    assert!(put(backend, &key, "1", None).await);
    for stale in [first, second] {
        assert!(!put(backend, &key, "3", Some(stale)).await, "another record had this version");
        assert!(!backend.records.delete(SHELF, &key, Some(stale)).await.expect("delete"));
    }
    assert!(backend.records.delete(SHELF, &key, None).await.expect("delete"));
    assert_eq!(read(backend, &key).await, None);
}

/// One shelf at a time, one page after the other.
pub async fn records_are_listed_in_the_order_of_their_keys(backend: &Backend) {
    let mark = unique("listed");
    let keys = ["#1/10", "#1/9", "-", "A", "a", "~"].map(|name| format!("{mark}{name}"));
    for key in keys.iter().rev() {
        written(backend, key, "1").await;
    }
    backend.records.set(Collection::Reports, &format!("{mark}B"), "1".to_owned(), None).await.expect("set");
    backend.records.set(SHELF, &format!("{mark}C"), "1".to_owned(), Some(after(Duration::ZERO))).await.expect("set");
    let list = async |behind: &str, limit| {
        let records = backend.records.list(SHELF, Some(behind), limit).await.expect("list");
        let mine = records.into_iter().filter(|record| record.key.starts_with(&mark));
        mine.map(|record| record.key).collect::<Vec<_>>()
    };
    assert_eq!(list(&mark, usize::MAX).await, keys, "the mark itself is no key");
    assert_eq!(list(&mark, 4).await, keys[..4]);
    assert_eq!(list(&keys[3], 4).await, keys[4..], "what it begins behind is not in it");
    assert_eq!(list(&mark, 0).await, [""; 0]);
    assert_eq!(list(&keys[5], 4).await, [""; 0]);
    let all = backend.records.list(SHELF, None, usize::MAX).await.expect("list");
    assert!(all.is_sorted_by(|one, next| one.key < next.key));
    assert!(keys.iter().all(|key| all.iter().any(|record| record.key == *key)));
}

/// A backend that took more than another would hide it until somebody moves.
pub async fn what_cannot_be_kept_everywhere_is_refused(backend: &Backend) {
    let refused = |kept: Result<(), Error>| assert!(matches!(kept, Err(Error::Failed { .. })), "{kept:?}");
    let longest = format!("{}{}", unique("long"), "x".repeat(256))[..256].to_owned();
    written(backend, &longest, "1").await;
    for key in ["", "a key", "ключ", "a\n", &format!("{longest}x")] {
        refused(backend.records.read(SHELF, key).await.map(drop));
        refused(backend.records.put(SHELF, key, "1".to_owned(), None, None).await.map(drop));
        refused(backend.records.set(SHELF, key, "1".to_owned(), None).await);
        refused(backend.records.delete(SHELF, key, None).await.map(drop));
        refused(backend.records.list(SHELF, Some(key), 1).await.map(drop));
    }
    let (key, large) = (unique("large"), "1".repeat(128 * 1024));
    written(backend, &key, &large).await;
    refused(backend.records.set(SHELF, &key, format!("{large}1"), None).await);
    refused(backend.records.put(SHELF, &unique("larger"), format!("{large}1"), None, None).await.map(drop));
    for key in [longest, key] {
        backend.records.delete(SHELF, &key, None).await.expect("delete");
    }
}

/// Also where another room's name begins like its own.
pub async fn a_room_is_listed_on_its_own(backend: &Backend) {
    for shelf in [Collection::Deliveries, Collection::Endpoints] {
        let room = unique("room");
        let keys = ["#", "1", "2", "2/3", "~"].map(|name| format!("{room}/{name}"));
        let others = [format!("{room}0/1"), format!("{room}-/1"), format!("{room}a/1")];
        for key in keys.iter().chain(&others).rev() {
            backend.records.set(shelf, key, "1".to_owned(), None).await.expect("set");
        }
        let gone = format!("{room}/gone");
        backend.records.set(shelf, &gone, "1".to_owned(), Some(after(Duration::ZERO))).await.expect("set");
        let list = async |room: &str, behind: Option<&str>, limit| {
            let records = backend.records.list_partition(shelf, room, behind, limit).await.expect("list");
            records.into_iter().map(|record| record.key).collect::<Vec<_>>()
        };
        assert_eq!(list(&room, None, usize::MAX).await, keys, "{shelf:?}");
        assert_eq!(list(&room, None, 2).await, keys[..2]);
        assert_eq!(list(&room, Some(&keys[1]), 2).await, keys[2..4]);
        assert_eq!(list(&room, Some(&keys[4]), 2).await, [""; 0]);
        assert_eq!(list(&room, Some(&others[0]), 2).await, [""; 0], "of a room behind this one");
        assert_eq!(list(&room, Some(&others[1]), 2).await, keys[..2], "of a room before it");
        assert_eq!(list(&room, None, 0).await, [""; 0]);
        assert_eq!(list(&format!("{room}0"), None, 9).await, others[..1]);
        assert_eq!(list(&unique("empty"), None, 9).await, [""; 0]);
        assert_eq!(
            backend.records.read(shelf, &keys[3]).await.expect("read").map(|found| found.key),
            Some(keys[3].clone())
        );
        assert!(backend.records.delete(shelf, &keys[3], None).await.expect("delete"));
        assert_eq!(list(&room, Some(&keys[2]), 9).await, keys[4..]);
    }
}

/// A backend where all lies in one place would hide that it cannot be so elsewhere.
pub async fn what_is_spread_has_a_room_and_is_listed_by_rooms(backend: &Backend) {
    let refused = |kept: Result<(), Error>| assert!(matches!(kept, Err(Error::Failed { .. })), "{kept:?}");
    for shelf in Collection::ALL.into_iter().filter(|shelf| shelf.is_partitioned()) {
        refused(backend.records.list(shelf, None, 1).await.map(drop));
        for key in ["room", "room/", "/name", "/"] {
            refused(backend.records.set(shelf, key, "1".to_owned(), None).await);
            refused(backend.records.read(shelf, key).await.map(drop));
        }
        for room in ["", "a/b", "a b", "/"] {
            refused(backend.records.list_partition(shelf, room, None, 1).await.map(drop));
        }
        refused(backend.records.list_partition(shelf, "room", Some("room"), 1).await.map(drop));
    }
}
