//! Permanent deletion of objects, with their older versions and delete markers.

use std::collections::BTreeSet;

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use quire_platform::{Error, Result};

use crate::{
    fault::{error_chain, to_error},
    objects::{S3Objects, WHAT},
};

/// Error codes of single objects in a batch delete that are transient.
const TRANSIENT_CODES: [&str; 3] = ["InternalError", "ServiceUnavailable", "SlowDown"];

impl S3Objects {
    /// Deletes all versions of all keys that begin with `prefix`. Returns the number of keys.
    pub(crate) async fn erase_all(&self, prefix: &str) -> Result<usize> {
        if prefix.is_empty() {
            return Err(failed("the prefix must not be empty".to_owned()));
        }
        let mut keys = 0;
        // Always the first page: the versions of the previous one are deleted.
        loop {
            let versions = self.versions(prefix).await?;
            if versions.is_empty() {
                return Ok(keys);
            }
            // A key with more versions than fit a page is counted again.
            keys += versions.iter().map(|version| &version.key).collect::<BTreeSet<_>>().len();
            self.remove(versions).await?;
        }
    }

    /// Deletes one version of a key, or all of them.
    pub(crate) async fn erase_one(&self, key: &str, version: Option<&str>) -> Result<()> {
        if let Some(version) = version {
            return self.remove(vec![identifier(Some(key.to_owned()), Some(version.to_owned()))?]).await;
        }
        loop {
            let mut versions = self.versions(key).await?;
            // Keys that only begin with this key are listed after it.
            versions.retain(|version| version.key == key);
            if versions.is_empty() {
                return Ok(());
            }
            self.remove(versions).await?;
        }
    }

    /// Returns the first page of versions and delete markers of the keys that begin with `prefix`.
    async fn versions(&self, prefix: &str) -> Result<Vec<ObjectIdentifier>> {
        let listed = self.client.list_object_versions().bucket(&self.bucket).prefix(prefix).send().await;
        let listed = listed.map_err(|error| to_error(WHAT, &error))?;
        let versions = listed.versions.unwrap_or_default().into_iter().map(|one| (one.key, one.version_id));
        let marks = listed.delete_markers.unwrap_or_default().into_iter().map(|one| (one.key, one.version_id));
        versions.chain(marks).map(|(key, version)| identifier(key, version)).collect()
    }

    /// Deletes versions. One list page and one delete call have the same limit of 1,000.
    async fn remove(&self, versions: Vec<ObjectIdentifier>) -> Result<()> {
        for version in &versions {
            self.cache.remove(&version.key);
        }
        let delete = Delete::builder().set_objects(Some(versions)).quiet(true).build();
        let delete = delete.map_err(|error| failed(error_chain(&error)))?;
        let removed = self.client.delete_objects().bucket(&self.bucket).delete(delete).send().await;
        let refused = removed.map_err(|error| to_error(WHAT, &error))?.errors.unwrap_or_default();
        let codes: Vec<&str> = refused.iter().map(|error| error.code().unwrap_or("no reason given")).collect();
        match codes.iter().find(|code| !TRANSIENT_CODES.contains(code)).or(codes.first()) {
            None => Ok(()),
            Some(code) if TRANSIENT_CODES.contains(code) => Err(Error::Busy { what: WHAT, why: (*code).to_owned() }),
            Some(code) => Err(failed((*code).to_owned())),
        }
    }
}

fn identifier(key: Option<String>, version: Option<String>) -> Result<ObjectIdentifier> {
    let named = ObjectIdentifier::builder().set_key(key).set_version_id(version).build();
    named.map_err(|error| failed(error_chain(&error)))
}

fn failed(why: String) -> Error {
    Error::Failed { what: WHAT, why }
}
