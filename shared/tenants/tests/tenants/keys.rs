//! API keys.

use quire_tenants::{
    KEY_CACHE_TTL_MILLIS, KeyCache, KeyEntry, KeyOwner, LAST_USE_INTERVAL_MILLIS, NewKey, Scope, Scopes,
    any_key_exists, create_key, create_restricted_key, list_keys, revoke_key,
};

use crate::{TestBackend, at_second, tenant};

#[tokio::test]
async fn a_key_identifies_its_tenant_and_is_not_stored() {
    let test = TestBackend::new();
    let (entry, key) =
        create_key(&test.backend, &tenant("acme"), "scanner", at_second(0), [7; 32]).await.expect("a key");
    let identity =
        KeyCache::new(test.backend.clone()).verify(key.reveal(), at_second(1)).await.expect("the records can be read");
    let owner = KeyOwner { tenant: tenant("acme"), key_id: Some(entry.id.clone()), scopes: Scopes::all() };
    assert_eq!(identity, Some(owner));
    assert!(key.reveal().starts_with("quire_") && entry.id.len() == 12);
    assert!(test.holds(&entry.id), "the search finds stored text");
    assert!(!test.holds(key.reveal()) && !test.holds(&key.reveal()[6..]));
    let used = KeyEntry { last_used_at: Some(at_second(1)), ..entry };
    assert_eq!(list_keys(&test.backend).await.expect("a list"), [used]);
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

#[tokio::test]
async fn a_restricted_key_has_its_scopes_until_it_expires() {
    let test = TestBackend::new();
    let scopes = Scopes::from_iter([Scope::Submit, Scope::Read]);
    let new = NewKey {
        tenant: tenant("acme"),
        name: "scanner".to_owned(),
        scopes: scopes.clone(),
        expires_at: Some(at_second(2)),
    };
    let (entry, key) = create_restricted_key(&test.backend, new, at_second(0), [7; 32]).await.expect("a key");
    assert_eq!(list_keys(&test.backend).await.expect("the keys"), [entry]);
    let cache = KeyCache::new(test.backend.clone());
    let owner = cache.verify(key.reveal(), at_second(1)).await.expect("the record can be read").expect("a valid key");
    assert_eq!(owner.scopes, scopes);
    // The cached result does not outlive the key.
    assert_eq!(cache.verify(key.reveal(), at_second(2)).await.expect("the record can be read"), None);
}

#[tokio::test]
async fn the_last_use_is_written_at_most_once_a_minute() {
    let test = TestBackend::new();
    let (_, key) = create_key(&test.backend, &tenant("acme"), "", at_second(0), [7; 32]).await.expect("a key");
    let cache = KeyCache::new(test.backend.clone());
    let mut written = Vec::new();
    for second in 0..=120 {
        cache.verify(key.reveal(), at_second(second)).await.expect("the record can be read").expect("a valid key");
        let used = list_keys(&test.backend).await.expect("the keys")[0].last_used_at.expect("it was used");
        if written.last() != Some(&used) {
            written.push(used);
        }
    }
    assert!(written.len() <= 3, "{written:?}");
    assert!(written.windows(2).all(|pair| pair[1].0 - pair[0].0 >= LAST_USE_INTERVAL_MILLIS), "{written:?}");
}

/// A key from before there were scopes is stored without them.
#[tokio::test]
async fn a_key_of_an_earlier_version_has_all_scopes() {
    let test = TestBackend::new();
    let (_, key) = create_key(&test.backend, &tenant("acme"), "", at_second(0), [7; 32]).await.expect("a key");
    let stored = test.backend.records.list(quire_platform::Collection::Keys, None, 1).await.expect("the record");
    assert!(!stored[0].body.contains("scopes") && !stored[0].body.contains("expires_at"), "{}", stored[0].body);
    let cache = KeyCache::new(test.backend.clone());
    let owner = cache.verify(key.reveal(), at_second(1)).await.expect("the record can be read").expect("a valid key");
    assert_eq!(owner.scopes, Scopes::all());
}
