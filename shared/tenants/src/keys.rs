//! API keys, managed by an operator.
//!
//! A key has 32 random bytes and is stored as its SHA-256. A slow password hash would only slow down every request:
//! it protects guessable passwords, and 256 random bits cannot be guessed.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use quire_platform::{
    Backend, Collection, Error, Record, Result,
    records::{self, RecordUpdate, UpdateOptions},
};
use quire_tasks::{Tenant, UnixMillis, to_hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{record, scopes::Scopes};

/// Number of hexadecimal digits of a key's SHA-256 that are its id.
const ID_LENGTH: usize = 12;
/// Page size when listing keys.
const LIST_PAGE_SIZE: usize = 100;
/// Upper bound of the number of keys listed.
const MAX_LISTED: usize = 100_000;
/// Options of a key's update. Transient errors are returned at once.
const UPDATE: UpdateOptions = UpdateOptions { what: "records", attempts: 10, retry_busy: false };

/// An API key as sent by its owner. It is shown once, on creation.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// Error: the text is not an API key. It never contains the text. Decision: refuse the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an API key must be {} followed by 43 characters of base64url", ApiKey::PREFIX)]
pub struct InvalidApiKey;

impl ApiKey {
    /// Lets secret scanners identify a leaked key.
    const PREFIX: &str = "quire_";

    fn new(random: [u8; 32]) -> Self {
        Self(format!("{}{}", Self::PREFIX, URL_SAFE_NO_PAD.encode(random)))
    }

    /// Returns the key as text. Note: it must never be logged.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns the SHA-256, the stored form of the key.
    pub(crate) fn digest(&self) -> KeyDigest {
        KeyDigest(Sha256::digest(&self.0).into())
    }
}

impl FromStr for ApiKey {
    type Err = InvalidApiKey;

    fn from_str(text: &str) -> Result<Self, InvalidApiKey> {
        let encoded = text.strip_prefix(Self::PREFIX).ok_or(InvalidApiKey)?;
        let mut bytes = [0; 32];
        // Only the canonical base64 notation is valid.
        match URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes) {
            Ok(32) => Ok(Self(text.to_owned())),
            _ => Err(InvalidApiKey),
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// A key's SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct KeyDigest([u8; 32]);

impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

/// The metadata of an API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    /// The key's id: 12 hexadecimal digits.
    pub id: String,
    /// The tenant that the key authenticates.
    pub tenant: Tenant,
    /// The key's purpose, as given by the operator.
    pub name: String,
    /// When it was created.
    pub created_at: UnixMillis,
    /// When it was revoked, if so. Revoked keys stay in the list.
    pub revoked_at: Option<UnixMillis>,
    /// What it may be used for.
    pub scopes: Scopes,
    /// When it expires, if it does.
    pub expires_at: Option<UnixMillis>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<UnixMillis>,
}

/// A key to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// The tenant that the key authenticates.
    pub tenant: Tenant,
    /// The key's purpose.
    pub name: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// When it expires; `None` if it does not.
    pub expires_at: Option<UnixMillis>,
}

/// The record of a key, stored under its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredKey {
    tenant: Tenant,
    #[serde(default)]
    name: String,
    created_at: UnixMillis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_at: Option<UnixMillis>,
    /// Absent for a key with all scopes, as all keys were before there were scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scopes: Option<Scopes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixMillis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_used_at: Option<UnixMillis>,
}

impl KeyEntry {
    pub(crate) fn from_record(record: &Record) -> Result<Self> {
        let StoredKey { tenant, name, created_at, revoked_at, scopes, expires_at, last_used_at } =
            record::parse(&record.body)?;
        let id = record.key.chars().take(ID_LENGTH).collect();
        let scopes = scopes.unwrap_or_else(Scopes::all);
        Ok(Self { id, tenant, name, created_at, revoked_at, scopes, expires_at, last_used_at })
    }

    pub(crate) fn written(&self) -> Result<String> {
        let Self { id: _, tenant, name, created_at, revoked_at, scopes, expires_at, last_used_at } = self.clone();
        let scopes = Some(scopes).filter(|scopes| !scopes.is_all());
        record::written(&StoredKey { tenant, name, created_at, revoked_at, scopes, expires_at, last_used_at })
    }

    /// Returns whether the key is accepted.
    pub fn is_valid(&self, now: UnixMillis) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

/// Creates a key with all scopes and without expiry. See [`create_restricted_key`].
///
/// # Errors
/// Any [`Error`].
pub async fn create_key(
    backend: &Backend,
    tenant: &Tenant,
    name: &str,
    now: UnixMillis,
    random: [u8; 32],
) -> Result<(KeyEntry, ApiKey)> {
    let new = NewKey { tenant: tenant.clone(), name: name.to_owned(), scopes: Scopes::all(), expires_at: None };
    create_restricted_key(backend, new, now, random).await
}

/// Creates a key from random bytes. It is accepted everywhere after the TTL of [`crate::KeyCache`].
///
/// # Errors
/// Any [`Error`].
pub async fn create_restricted_key(
    backend: &Backend,
    new: NewKey,
    now: UnixMillis,
    random: [u8; 32],
) -> Result<(KeyEntry, ApiKey)> {
    let key = ApiKey::new(random);
    let digest = key.digest().to_string();
    let id = digest.chars().take(ID_LENGTH).collect();
    let NewKey { tenant, name, scopes, expires_at } = new;
    let entry =
        KeyEntry { id, tenant, name, created_at: now, revoked_at: None, scopes, expires_at, last_used_at: None };
    if backend.records.put(Collection::Keys, &digest, entry.written()?, None, None).await? {
        return Ok((entry, key));
    }
    // Equal random bytes mean a retry of the same call whose first response was lost.
    let kept = backend
        .records
        .read(Collection::Keys, &digest)
        .await?
        .map(|record| KeyEntry::from_record(&record))
        .transpose()?;
    let is_retry = kept.is_some_and(|kept| kept == entry);
    if is_retry { Ok((entry, key)) } else { Err(failed("these random bytes belong to another key".to_owned())) }
}

/// Returns all keys, including revoked ones, ordered by id.
///
/// # Errors
/// Any [`Error`].
pub async fn list_keys(backend: &Backend) -> Result<Vec<KeyEntry>> {
    let mut entries = Vec::new();
    let mut after = None::<String>;
    while entries.len() < MAX_LISTED {
        let records = backend.records.list(Collection::Keys, after.as_deref(), LIST_PAGE_SIZE).await?;
        let Some(last) = records.last() else { break };
        after = Some(last.key.clone());
        for record in &records {
            entries.push(KeyEntry::from_record(record)?);
        }
    }
    Ok(entries)
}

/// Revokes a key and returns it, or `None` if no key has this id. Idempotent: the time of the first revocation is
/// kept.
///
/// # Errors
/// Any [`Error`].
pub async fn revoke_key(backend: &Backend, id: &str, now: UnixMillis) -> Result<Option<KeyEntry>> {
    let is_id = id.len() == ID_LENGTH && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_id {
        return Ok(None);
    }
    // An id is a prefix of its record's key, so that the record is the next one after it.
    let found = backend.records.list(Collection::Keys, Some(id), 2).await?;
    let found: Vec<&Record> = found.iter().filter(|record| record.key.starts_with(id)).collect();
    let [record] = found[..] else {
        // Two keys with one id (probability of a pair: 10⁻¹⁴). Error: neither is revoked, since one would be the
        // wrong one.
        return if found.is_empty() { Ok(None) } else { Err(failed("two keys have this id".to_owned())) };
    };
    let records = backend.records.as_ref();
    records::update_body(records, Collection::Keys, &record.key, UPDATE, |record| {
        let Some(record) = record else { return Ok(RecordUpdate::Keep(None)) };
        let mut entry = KeyEntry::from_record(record)?;
        if entry.revoked_at.is_some() {
            return Ok(RecordUpdate::Keep(Some(entry)));
        }
        entry.revoked_at = Some(now);
        Ok(RecordUpdate::Put { value: entry.written()?, result: Some(entry) })
    })
    .await
}

/// Returns whether any key exists, revoked ones included: once a key has existed, unauthenticated access stays
/// disabled.
///
/// # Errors
/// Any [`Error`].
pub async fn any_key_exists(backend: &Backend) -> Result<bool> {
    Ok(!backend.records.list(Collection::Keys, None, 1).await?.is_empty())
}

fn failed(why: String) -> Error {
    Error::Failed { what: "keys", why }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_is_parsed_from_its_text_and_not_shown_by_debug(random in any::<[u8; 32]>()) {
            let key = ApiKey::new(random);
            prop_assert_eq!(key.reveal().len(), 49);
            prop_assert_eq!(key.reveal().parse(), Ok(key.clone()));
            prop_assert_eq!(format!("{key:?}"), "ApiKey(…)");
        }
    }

    #[test]
    fn an_invalid_key_is_refused() {
        let key = ApiKey::new([255; 32]).reveal().to_owned();
        let others =
            ["", "quire_", &key[6..], &key[..48], &format!("{key}A"), &format!("{key}="), &key.replace('_', "/")];
        for other in others {
            assert_eq!(other.parse::<ApiKey>(), Err(InvalidApiKey), "{other}");
        }
    }
}
