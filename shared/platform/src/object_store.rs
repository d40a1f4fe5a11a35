//! The store of documents and results.

use std::{
    fmt::Debug,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use bytes::Bytes;

use crate::Result;

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
    /// that the home keeps for a while.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] where there is none.
    async fn local_file(&self, key: &str) -> Result<PathBuf>;

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

    /// Where a file can be written that [`ObjectStore::put_file`] then takes in cheaply.
    fn spool(&self) -> PathBuf;
}
