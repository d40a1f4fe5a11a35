//! A cache of objects as local files, with least-recently-used eviction.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quire_platform::Result;
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// The cache folder of this process, deleted when dropped. It has an unpredictable name and is accessible only by its
/// owner, since the folder for temporary files is shared.
#[derive(Debug)]
pub(crate) struct DiskCache {
    dir: TempDir,
    /// The maximum number of bytes; a single object may be larger.
    limit: u64,
    copies: Mutex<CacheEntries>,
}

#[derive(Debug, Default)]
struct CacheEntries {
    /// The use counter: the smallest value of an entry is the least recently used one. Also names the files.
    uses: u64,
    by_key: HashMap<String, CacheEntry>,
}

#[derive(Debug)]
struct CacheEntry {
    file: Arc<OnceCell<PathBuf>>,
    bytes: u64,
    used: u64,
}

impl DiskCache {
    pub(crate) fn new(limit: u64) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("quire-").tempdir()?;
        fs::create_dir(dir.path().join("objects"))?;
        fs::create_dir(dir.path().join("spool"))?;
        Ok(Self { dir, limit, copies: Mutex::default() })
    }

    /// Returns the folder for files that are not objects yet.
    pub(crate) fn spool(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    /// Returns the cached file of an object. On a cache miss, `fetch` writes the file and returns its size in bytes.
    /// Concurrent requests for one key share one fetch.
    pub(crate) async fn file<F>(&self, key: &str, fetch: impl FnOnce(PathBuf) -> F) -> Result<PathBuf>
    where
        F: Future<Output = Result<u64>>,
    {
        let (cell, name) = self.slot(key);
        let place = self.dir.path().join("objects").join(name.to_string());
        let fetched = cell.get_or_try_init(|| async {
            match fetch(place.clone()).await {
                Ok(bytes) => {
                    self.set_size(key, &cell, bytes);
                    Ok(place)
                }
                Err(error) => {
                    delete_file(&place);
                    Err(error)
                }
            }
        });
        let fetched = fetched.await.cloned();
        if fetched.is_err() {
            self.remove_unfetched(key, &cell);
        }
        self.evict(key);
        fetched
    }

    /// Removes an object that was replaced or deleted.
    pub(crate) fn remove(&self, key: &str) {
        let copy = self.copies().by_key.remove(key);
        if let Some(file) = copy.as_ref().and_then(|copy| copy.file.get()) {
            delete_file(file);
        }
    }

    fn copies(&self) -> MutexGuard<'_, CacheEntries> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, key: &str) -> (Arc<OnceCell<PathBuf>>, u64) {
        let mut copies = self.copies();
        copies.uses += 1;
        let used = copies.uses;
        let empty = || CacheEntry { file: Arc::default(), bytes: 0, used };
        let copy = copies.by_key.entry(key.to_owned()).or_insert_with(empty);
        copy.used = used;
        (Arc::clone(&copy.file), used)
    }

    fn set_size(&self, key: &str, cell: &Arc<OnceCell<PathBuf>>, bytes: u64) {
        if let Some(copy) = self.copies().by_key.get_mut(key).filter(|copy| Arc::ptr_eq(&copy.file, cell)) {
            copy.bytes = bytes;
        }
    }

    fn remove_unfetched(&self, key: &str, cell: &Arc<OnceCell<PathBuf>>) {
        let mut copies = self.copies();
        if copies.by_key.get(key).is_some_and(|copy| Arc::ptr_eq(&copy.file, cell) && cell.get().is_none()) {
            copies.by_key.remove(key);
        }
    }

    /// Evicts files until the cache is within its limit. Open files stay readable after their deletion.
    fn evict(&self, keep: &str) {
        let mut copies = self.copies();
        let mut bytes: u64 = copies.by_key.values().map(|copy| copy.bytes).sum();
        while bytes > self.limit {
            let fetched = copies.by_key.iter().filter(|(key, copy)| key.as_str() != keep && copy.file.initialized());
            let Some(oldest) = fetched.min_by_key(|(_, copy)| copy.used).map(|(key, _)| key.clone()) else { break };
            let Some(copy) = copies.by_key.remove(&oldest) else { break };
            bytes -= copy.bytes;
            if let Some(file) = copy.file.get() {
                delete_file(file);
            }
        }
    }
}

/// Deletes a file. An error is ignored: the whole folder is deleted at the end.
fn delete_file(file: &Path) {
    let _ = fs::remove_file(file);
}

#[cfg(test)]
mod tests {
    use super::*;
    use quire_platform::Error;

    async fn fetched(cache: &DiskCache, key: &str, bytes: u64) -> PathBuf {
        let fetch = |place: PathBuf| async move {
            fs::write(place, vec![0; bytes as usize]).expect("a file");
            Ok(bytes)
        };
        cache.file(key, fetch).await.expect("fetched")
    }

    async fn kept(cache: &DiskCache, key: &str) -> PathBuf {
        cache.file(key, |_| async { panic!("it is there") }).await.expect("kept")
    }

    #[tokio::test]
    async fn the_least_recently_used_files_are_evicted() {
        let cache = DiskCache::new(10).expect("a temporary folder");
        let first = fetched(&cache, "first", 4).await;
        let second = fetched(&cache, "second", 4).await;
        assert_eq!(kept(&cache, "first").await, first);
        let large = fetched(&cache, "large", 6).await;
        assert!(first.exists() && large.exists() && !second.exists());
        let larger = fetched(&cache, "larger", 60).await;
        assert!(larger.exists() && !first.exists() && !large.exists(), "one alone may be over the limit");
    }

    #[tokio::test]
    async fn a_failed_fetch_is_not_cached() {
        let cache = DiskCache::new(10).expect("a temporary folder");
        let missing = |_| async { Err(Error::NotFound { what: "key".to_owned() }) };
        assert!(cache.file("key", missing).await.is_err());
        assert!(cache.copies().by_key.is_empty());
        assert!(fetched(&cache, "key", 1).await.exists());
        cache.remove("key");
        assert!(fetched(&cache, "key", 2).await.exists());
    }
}
