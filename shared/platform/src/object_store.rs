//! The store of documents and results.

use std::{
    fmt::Debug,
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;

use crate::Result;

/// What came of fetching an object of a bounded size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Download {
    /// All of it.
    Whole {
        /// Its size.
        bytes: u64,
    },
    /// Nothing: it is larger than was asked for.
    TooLarge {
        /// Its size.
        bytes: u64,
    },
}

/// An address that takes one upload: exactly the object that it was made for.
#[derive(Clone, PartialEq, Eq)]
pub struct UploadUrl {
    /// Where to `PUT` it. Whoever knows it may upload: it is a secret, and in no log.
    pub url: String,
    /// The headers that must come with it, as they are.
    pub headers: Vec<(String, String)>,
}

impl Debug for UploadUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UploadUrl").field("headers", &self.headers).finish_non_exhaustive()
    }
}

/// Objects under keys such as `documents/…/1` (`quire_tasks::Key`). An object is there whole or not at all.
#[async_trait]
pub trait ObjectStore: Debug + Send + Sync {
    /// Writes an object, in place of what was there.
    ///
    /// # Errors
    /// Any [`crate::Error`]; nothing is left half-written.
    async fn put(&self, key: &str, bytes: Bytes) -> Result<()>;

    /// Writes an object unless there is one under this key; says whether it did.
    ///
    /// # Errors
    /// As [`ObjectStore::put`].
    async fn put_new(&self, key: &str, bytes: Bytes) -> Result<bool>;

    /// Takes a file in as an object, in place of what was there. The file may be moved away.
    ///
    /// # Errors
    /// As [`ObjectStore::put`].
    async fn put_file(&self, key: &str, file: &Path) -> Result<()>;

    /// Reads an object.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] where there is none.
    async fn read(&self, key: &str) -> Result<Bytes>;

    /// A file with the object's bytes, to be read only: the object itself where it is a file anyway, otherwise a copy
    /// that the backend keeps for a while.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] where there is none.
    async fn local_file(&self, key: &str) -> Result<PathBuf>;

    /// Writes an object to a file, unless it has more than `max_bytes` bytes. Of a store that keeps versions, a certain one
    /// can be had; others have only what lies there now.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] where there is none.
    async fn download(&self, key: &str, version: Option<&str>, max_bytes: u64, into: &Path) -> Result<Download>;

    /// Whether customers can upload to it by [`ObjectStore::upload_url`].
    fn supports_uploads(&self) -> bool {
        false
    }

    /// An address where an object of this type and size can be put by whoever knows it; none where the backend takes no
    /// uploads of its own.
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

    /// The keys that begin with `prefix`, sorted.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn list(&self, prefix: &str) -> Result<Vec<String>>;

    /// Removes an object. That there is none is no error.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn delete(&self, key: &str) -> Result<()>;

    /// Removes every object whose key begins with `prefix`, with its older versions and what marks their deletion; of how
    /// many keys.
    ///
    /// # Errors
    /// [`crate::Error::Failed`] where the prefix is empty, for that would be everything; otherwise any. Some may be gone
    /// by then.
    async fn erase(&self, prefix: &str) -> Result<usize>;

    /// Removes one object for good: of a store that keeps versions, this one, or all of this very key. Nothing there is no
    /// error.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn erase_version(&self, key: &str, _version: Option<&str>) -> Result<()> {
        self.delete(key).await
    }

    /// An address where whoever knows it can fetch this object for a while, as a file of this name and type; none where the
    /// backend has no such addresses. Whether there is an object is not looked at.
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

    /// Where a file can be written that [`ObjectStore::put_file`] then takes in cheaply.
    fn spool(&self) -> PathBuf;
}
