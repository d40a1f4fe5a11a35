//! API keys: made, listed and revoked by an operator.
//!
//! A key is 32 random bytes: nobody guesses it, and nobody who has its SHA-256 can search for it, so that a slow hash, which
//! protects what people think up, would only make every request slower.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use quire_platform::{Backend, Collection, Error, Record, Result};
use quire_tasks::{Tenant, UnixMillis};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::record;

/// How many digits of a key's SHA-256 are its public name.
const ID_LENGTH: usize = 12;
/// How many keys are read at a time.
const AT_A_TIME: usize = 100;
/// More keys than anybody has.
const MOST: usize = 100_000;
/// How often a revocation is tried that others get in the way of.
const TRIES: usize = 10;

/// An API key, as its owner sends it. It is shown once, when it is made.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// A text is no API key. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an API key is {} and 43 characters", ApiKey::PREFIX)]
pub struct InvalidApiKey;

impl ApiKey {
    /// Tells what it is to whoever finds one where none should be.
    const PREFIX: &str = "quire_";

    fn new(random: [u8; 32]) -> Self {
        Self(format!("{}{}", Self::PREFIX, URL_SAFE_NO_PAD.encode(random)))
    }

    /// The key as it is written, for its owner's eyes only.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub(crate) fn digest(&self) -> KeyDigest {
        KeyDigest(Sha256::digest(&self.0).into())
    }
}

impl FromStr for ApiKey {
    type Err = InvalidApiKey;

    fn from_str(text: &str) -> Result<Self, InvalidApiKey> {
        let encoded = text.strip_prefix(Self::PREFIX).ok_or(InvalidApiKey)?;
        let mut bytes = [0; 32];
        // Strictly one notation for each key.
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
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What is known of a key. The key itself is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    /// Its public name: 12 hexadecimal digits.
    pub id: String,
    /// Whose requests it lets through.
    pub tenant: Tenant,
    /// What it is for, in its maker's words.
    pub name: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it ended. A key that was revoked stays in the list.
    pub revoked_at: Option<UnixMillis>,
}

/// What is kept, under the key's SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredKey {
    tenant: Tenant,
    #[serde(default)]
    name: String,
    created_at: UnixMillis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_at: Option<UnixMillis>,
}

impl KeyEntry {
    pub(crate) fn from_record(record: &Record) -> Result<Self> {
        let StoredKey { tenant, name, created_at, revoked_at } = record::parse(&record.body)?;
        let id = record.key.chars().take(ID_LENGTH).collect();
        Ok(Self { id, tenant, name, created_at, revoked_at })
    }

    fn written(&self) -> Result<String> {
        let Self { tenant, name, created_at, revoked_at, .. } = self.clone();
        record::written(&StoredKey { tenant, name, created_at, revoked_at })
    }
}

/// Makes a key of random bytes. It is in force within the seconds that [`crate::KeyCache`] remembers.
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
    let key = ApiKey::new(random);
    let digest = key.digest().to_string();
    let id = digest.chars().take(ID_LENGTH).collect();
    let entry = KeyEntry { id, tenant: tenant.clone(), name: name.to_owned(), created_at: now, revoked_at: None };
    if backend.records.put(Collection::Keys, &digest, entry.written()?, None, None).await? {
        return Ok((entry, key));
    }
    // Only these very random bytes lead here: the same call, whose first answer was lost.
    let kept = backend
        .records
        .read(Collection::Keys, &digest)
        .await?
        .map(|record| KeyEntry::from_record(&record))
        .transpose()?;
    let same = kept.is_some_and(|kept| kept == entry);
    if same { Ok((entry, key)) } else { Err(failed("these random bytes were used before".to_owned())) }
}

/// All keys there have been, in the order of their ids.
///
/// # Errors
/// Any [`Error`].
pub async fn list_keys(backend: &Backend) -> Result<Vec<KeyEntry>> {
    let (mut entries, mut after) = (Vec::new(), None::<String>);
    while entries.len() < MOST {
        let records = backend.records.list(Collection::Keys, after.as_deref(), AT_A_TIME).await?;
        let Some(last) = records.last() else { break };
        after = Some(last.key.clone());
        for record in &records {
            entries.push(KeyEntry::from_record(record)?);
        }
    }
    Ok(entries)
}

/// Ends a key; what it was, or none where no key has this id. One that was revoked before keeps the time of that.
///
/// # Errors
/// Any [`Error`].
pub async fn revoke_key(backend: &Backend, id: &str, now: UnixMillis) -> Result<Option<KeyEntry>> {
    let is_id = id.len() == ID_LENGTH && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_id {
        return Ok(None);
    }
    for _ in 0..TRIES {
        // An id is the beginning of its record's key, which therefore is the next one behind it.
        let found = backend.records.list(Collection::Keys, Some(id), 2).await?;
        let found: Vec<&Record> = found.iter().filter(|record| record.key.starts_with(id)).collect();
        let [record] = found[..] else {
            // Two keys with one id: one in 10¹⁴ pairs. Better none is revoked than the wrong one.
            return if found.is_empty() { Ok(None) } else { Err(failed("two keys have this id".to_owned())) };
        };
        let mut entry = KeyEntry::from_record(record)?;
        if entry.revoked_at.is_some() {
            return Ok(Some(entry));
        }
        entry.revoked_at = Some(now);
        if backend.records.put(Collection::Keys, &record.key, entry.written()?, Some(record.version), None).await? {
            return Ok(Some(entry));
        }
    }
    Err(Error::Busy { what: "records", why: "others change the same key all the time".to_owned() })
}

/// Whether there is or was any key. One that is revoked counts: who had keys once does not want an open door.
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
        fn a_key_reads_back_and_is_not_shown_by_accident(random in any::<[u8; 32]>()) {
            let key = ApiKey::new(random);
            prop_assert_eq!(key.reveal().len(), 49);
            prop_assert_eq!(key.reveal().parse(), Ok(key.clone()));
            prop_assert_eq!(format!("{key:?}"), "ApiKey(…)");
        }
    }

    #[test]
    fn what_is_no_key_is_none() {
        let key = ApiKey::new([255; 32]).reveal().to_owned();
        let others =
            ["", "quire_", &key[6..], &key[..48], &format!("{key}A"), &format!("{key}="), &key.replace('_', "/")];
        for other in others {
            assert_eq!(other.parse::<ApiKey>(), Err(InvalidApiKey), "{other}");
        }
    }
}
