//! The object store: documents and results.

use std::{
    fmt::Debug,
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;

use crate::Result;

/// The result of [`ObjectStore::download`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Download {
    /// The whole object was written.
    Whole {
        /// The object's size in bytes.
        bytes: u64,
    },
    /// Nothing was written: the object is larger than the limit.
    TooLarge {
        /// The object's size in bytes.
        bytes: u64,
    },
}

/// A presigned URL that accepts one upload of exactly the object it was created for.
#[derive(Clone, PartialEq, Eq)]
pub struct UploadUrl {
    /// The URL for a `PUT` request. It grants access, so it is a secret: it must not be logged.
    pub url: String,
    /// The headers that the request must have, unchanged.
    pub headers: Vec<(String, String)>,
}

impl Debug for UploadUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UploadUrl").field("headers", &self.headers).finish_non_exhaustive()
    }
}

/// The space of a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// What this process can still use.
    pub free: u64,
    /// The size of the file system.
    pub total: u64,
}

/// Objects under keys such as `documents/…/1` (`quire_tasks::Key`). Writes are atomic: an object exists as a whole or
/// not at all.
#[async_trait]
pub trait ObjectStore: Debug + Send + Sync {
    /// Writes an object and replaces an existing one.
    ///
    /// # Errors
    /// Any [`crate::Error`]; no partial object is left.
    async fn put(&self, key: &str, bytes: Bytes) -> Result<()>;

    /// Writes an object unless the key exists. Returns whether it was written.
    ///
    /// # Errors
    /// As [`ObjectStore::put`].
    async fn put_new(&self, key: &str, bytes: Bytes) -> Result<bool>;

    /// Stores a file as an object and replaces an existing one. The file may be moved away.
    ///
    /// # Errors
    /// As [`ObjectStore::put`].
    async fn put_file(&self, key: &str, file: &Path) -> Result<()>;

    /// Returns an object's bytes.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the object does not exist.
    async fn read(&self, key: &str) -> Result<Bytes>;

    /// Returns a read-only file with the object's bytes: the object itself if it is stored as a file, otherwise a copy
    /// in the local cache.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the object does not exist.
    async fn local_file(&self, key: &str) -> Result<PathBuf>;

    /// Writes an object to a file unless it is larger than `max_bytes`. `version` selects a version if the store keeps
    /// versions; other stores ignore it.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the object does not exist.
    async fn download(&self, key: &str, version: Option<&str>, max_bytes: u64, into: &Path) -> Result<Download>;

    /// Returns whether the store supports presigned uploads ([`ObjectStore::upload_url`]). Default: false.
    fn supports_uploads(&self) -> bool {
        false
    }

    /// Returns a presigned URL for uploading an object of this type and size, or `None` if the store does not support
    /// uploads. Default: `None`.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn upload_url(
        &self,
        _key: &str,
        _content_type: &str,
        _bytes: u64,
        _valid_for: Duration,
    ) -> Result<Option<UploadUrl>> {
        Ok(None)
    }

    /// Returns the keys that begin with `prefix`, sorted.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn list(&self, prefix: &str) -> Result<Vec<String>>;

    /// Deletes an object. Idempotent: a missing object is not an error.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn delete(&self, key: &str) -> Result<()>;

    /// Deletes every object whose key begins with `prefix`, including older versions and delete markers. Returns the
    /// number of keys.
    ///
    /// # Errors
    /// [`crate::Error::Failed`] if the prefix is empty, since that would delete everything; otherwise any. Note: some
    /// objects may be deleted already.
    async fn erase(&self, prefix: &str) -> Result<usize>;

    /// Permanently deletes one version of an object, or all versions of exactly this key. Idempotent. Default: as
    /// [`ObjectStore::delete`], for stores without versions.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn erase_version(&self, key: &str, _version: Option<&str>) -> Result<()> {
        self.delete(key).await
    }

    /// Returns a presigned URL for downloading the object with this file name and content type, or `None` if the store
    /// has no such URLs. Does not check that the object exists. Default: `None`.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn download_url(
        &self,
        _key: &str,
        _file_name: &str,
        _content_type: &str,
        _valid_for: Duration,
    ) -> Result<Option<String>> {
        Ok(None)
    }

    /// Returns the space of the disk that the objects are stored on, or `None` if the store has no limit of its own or
    /// the space is unknown. Default: `None`.
    fn disk_space(&self) -> Option<DiskSpace> {
        None
    }

    /// Returns the folder for files that [`ObjectStore::put_file`] can take without a copy.
    fn spool(&self) -> PathBuf;
}
