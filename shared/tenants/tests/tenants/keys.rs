//! API keys.

use quire_tenants::{KEY_CACHE_TTL_MILLIS, KeyCache, KeyOwner, any_key_exists, create_key, list_keys, revoke_key};

use crate::{TestBackend, at_second, tenant};

#[tokio::test]
async fn a_key_identifies_its_tenant_and_is_not_stored() {
    let test = TestBackend::new();
    let (entry, key) =
        create_key(&test.backend, &tenant("acme"), "scanner", at_second(0), [7; 32]).await.expect("a key");
    let identity =
        KeyCache::new(test.backend.clone()).verify(key.reveal(), at_second(1)).await.expect("the records can be read");
    assert_eq!(identity, Some(KeyOwner { tenant: tenant("acme"), key_id: Some(entry.id.clone()) }));
    assert!(key.reveal().starts_with("quire_") && entry.id.len() == 12);
    assert!(test.holds(&entry.id), "the search finds stored text");
    assert!(!test.holds(key.reveal()) && !test.holds(&key.reveal()[6..]));
    assert_eq!(list_keys(&test.backend).await.expect("a list"), [entry]);
}

#[tokio::test]
async fn an_unknown_key_is_refused() {
    let test = TestBackend::new();
    let keys = KeyCache::new(test.backend.clone());
    let (_, key) = create_key(&test.backend, &tenant("acme"), "", at_second(0), [7; 32]).await.expect("a key");
    let longer = format!("{}A", key.reveal());
    let others = ["", "quire_", "nonsense", &key.reveal()[6..], &key.reveal()[..48], &longer];
    for other in others.into_iter().map(str::to_owned).chain([format!("quire_{}", "A".repeat(43))]) {
        for _ in 0..2 {
            assert_eq!(keys.verify(&other, at_second(1)).await.expect("the records can be read"), None, "{other}");
        }
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_after_the_cache_ttl() {
    let test = TestBackend::new();
    let (entry, key) = create_key(&test.backend, &tenant("acme"), "", at_second(0), [7; 32]).await.expect("a key");
    let keys = KeyCache::new(test.backend.clone());
    assert!(keys.verify(key.reveal(), at_second(1)).await.expect("the records can be read").is_some());
    let revoked = revoke_key(&test.backend, &entry.id, at_second(2))
        .await
        .expect("the record is written")
        .expect("the key exists");
    assert_eq!(revoked.revoked_at, Some(at_second(2)));
    let later = at_second(1 + KEY_CACHE_TTL_MILLIS / 1_000);
    assert_eq!(keys.verify(key.reveal(), later).await.expect("the records can be read"), None);
    assert_eq!(
        KeyCache::new(test.backend.clone()).verify(key.reveal(), at_second(2)).await.expect("the records can be read"),
        None
    );
}

#[tokio::test]
async fn a_key_is_revoked_once_and_only_by_its_full_id() {
    let test = TestBackend::new();
    let mut entries = Vec::new();
    for random in 0..20 {
        entries
            .push(create_key(&test.backend, &tenant("acme"), "", at_second(0), [random; 32]).await.expect("a key").0);
    }
    for wrong in ["", "a", &entries[0].id[..11], "000000000000", "GGGGGGGGGGGG", "%"] {
        assert_eq!(
            revoke_key(&test.backend, wrong, at_second(1)).await.expect("the records can be read"),
            None,
            "{wrong}"
        );
    }
    for second in [1, 2] {
        let revoked =
            revoke_key(&test.backend, &entries[7].id, at_second(second)).await.expect("the record is written");
        assert_eq!(revoked.expect("the key exists").revoked_at, Some(at_second(1)));
    }
    let listed = list_keys(&test.backend).await.expect("a list");
    assert_eq!((listed.len(), listed.iter().filter(|entry| entry.revoked_at.is_some()).count()), (20, 1));
    assert!(listed.is_sorted_by_key(|entry| &entry.id));
}

#[tokio::test]
async fn creating_a_key_is_idempotent_for_the_same_random_bytes() {
    let test = TestBackend::new();
    let create = |name, second| create_key(&test.backend, name, "", at_second(second), [7; 32]);
    let (acme, other) = (tenant("acme"), tenant("other"));
    let first = create(&acme, 0).await.expect("a key");
    assert_eq!(create(&acme, 0).await.expect("the call is idempotent"), first);
    assert!(create(&other, 0).await.is_err());
    revoke_key(&test.backend, &first.0.id, at_second(1)).await.expect("the record is written");
    assert!(create(&acme, 0).await.is_err(), "a revoked key stays revoked");
}

#[tokio::test]
async fn a_backend_requires_keys_once_one_has_existed() {
    let test = TestBackend::new();
    let keys = KeyCache::new(test.backend.clone());
    assert!(!keys.any(at_second(0)).await.expect("the records can be read"));
    let (entry, _) = create_key(&test.backend, &tenant("acme"), "", at_second(0), [7; 32]).await.expect("a key");
    revoke_key(&test.backend, &entry.id, at_second(0)).await.expect("the record is written");
    assert!(any_key_exists(&test.backend).await.expect("the records can be read"));
    assert!(keys.any(at_second(KEY_CACHE_TTL_MILLIS / 1_000)).await.expect("the records can be read"));
}
