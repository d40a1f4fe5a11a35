//! How objects go for good, with their older versions and the marks of their deletions.

use std::collections::BTreeSet;

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use quire_platform::{Error, Result};

use crate::{
    fault::{chain, fault},
    objects::{S3Objects, WHAT},
};

/// Refusals of one object among many that may be over a little later.
const PASSING: [&str; 3] = ["InternalError", "ServiceUnavailable", "SlowDown"];

impl S3Objects {
    /// Removes all of all keys that begin with `prefix`; of how many keys.
    pub(crate) async fn erase_all(&self, prefix: &str) -> Result<usize> {
        if prefix.is_empty() {
            return Err(failed("an empty prefix is everything".to_owned()));
        }
        let mut keys = BTreeSet::new();
        // From the beginning each time: what was there before is gone by then.
        loop {
            let versions = self.versions(prefix).await?;
            if versions.is_empty() {
                return Ok(keys.len());
            }
            keys.extend(versions.iter().map(|version| version.key.clone()));
            self.remove(versions).await?;
        }
    }

    /// Removes one version of a key, or all of them.
    pub(crate) async fn erase_one(&self, key: &str, version: Option<&str>) -> Result<()> {
        if let Some(version) = version {
            return self.remove(vec![identifier(Some(key.to_owned()), Some(version.to_owned()))?]).await;
        }
        loop {
            let mut versions = self.versions(key).await?;
            // Other keys that begin with this one lie behind it.
            versions.retain(|version| version.key == key);
            if versions.is_empty() {
                return Ok(());
            }
            self.remove(versions).await?;
        }
    }

    /// The first versions, and marks of deletions, of the keys that begin with `prefix`: as many as one call tells.
    async fn versions(&self, prefix: &str) -> Result<Vec<ObjectIdentifier>> {
        let listed = self.client.list_object_versions().bucket(&self.bucket).prefix(prefix).send().await;
        let listed = listed.map_err(|error| fault(WHAT, &error))?;
        let versions = listed.versions.unwrap_or_default().into_iter().map(|one| (one.key, one.version_id));
        let marks = listed.delete_markers.unwrap_or_default().into_iter().map(|one| (one.key, one.version_id));
        versions.chain(marks).map(|(key, version)| identifier(key, version)).collect()
    }

    /// Removes versions: as many as one call takes, which is as many as one call tells.
    async fn remove(&self, versions: Vec<ObjectIdentifier>) -> Result<()> {
        for version in &versions {
            self.cache.forget(&version.key);
        }
        let delete = Delete::builder().set_objects(Some(versions)).quiet(true).build();
        let delete = delete.map_err(|error| failed(chain(&error)))?;
        let removed = self.client.delete_objects().bucket(&self.bucket).delete(delete).send().await;
        let refused = removed.map_err(|error| fault(WHAT, &error))?.errors.unwrap_or_default();
        let codes: Vec<&str> = refused.iter().map(|error| error.code().unwrap_or("no reason given")).collect();
        match codes.iter().find(|code| !PASSING.contains(code)).or(codes.first()) {
            None => Ok(()),
            Some(code) if PASSING.contains(code) => Err(Error::Busy { what: WHAT, why: (*code).to_owned() }),
            Some(code) => Err(failed((*code).to_owned())),
        }
    }
}

fn identifier(key: Option<String>, version: Option<String>) -> Result<ObjectIdentifier> {
    let named = ObjectIdentifier::builder().set_key(key).set_version_id(version).build();
    named.map_err(|error| failed(chain(&error)))
}

fn failed(why: String) -> Error {
    Error::Failed { what: WHAT, why }
}
