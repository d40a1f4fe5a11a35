//! Copies of objects for those who need a file: each is fetched once, and the least recently used make room.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quire_platform::Result;
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// A folder of this process, removed with it. A name that nobody can guess, and rights for nobody else: the folder for
/// temporary files is everybody's.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: TempDir,
    /// The bytes that it may hold; a single object may be larger.
    limit: u64,
    copies: Mutex<Copies>,
}

#[derive(Debug, Default)]
struct Copies {
    /// Counts the uses, so that the least recent one is the smallest, and names the files.
    uses: u64,
    by_key: HashMap<String, Copy>,
}

#[derive(Debug)]
struct Copy {
    file: Arc<OnceCell<PathBuf>>,
    bytes: u64,
    used: u64,
}

impl Cache {
    pub(crate) fn new(limit: u64) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("quire-").tempdir()?;
        fs::create_dir(dir.path().join("objects"))?;
        fs::create_dir(dir.path().join("spool"))?;
        Ok(Self { dir, limit, copies: Mutex::default() })
    }

    /// Where files lie that are not objects yet.
    pub(crate) fn spool(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    /// The copy of an object, by `fetch` where there is none yet, which writes it and says how many bytes it has. Of
    /// those who ask at the same time one fetches, and the others wait.
    pub(crate) async fn file<F>(&self, key: &str, fetch: impl FnOnce(PathBuf) -> F) -> Result<PathBuf>
    where
        F: Future<Output = Result<u64>>,
    {
        let (cell, name) = self.slot(key);
        let place = self.dir.path().join("objects").join(name.to_string());
        let fetched = cell.get_or_try_init(|| async {
            match fetch(place.clone()).await {
                Ok(bytes) => {
                    self.holds(key, &cell, bytes);
                    Ok(place)
                }
                Err(error) => {
                    remove(&place);
                    Err(error)
                }
            }
        });
        let fetched = fetched.await.cloned();
        if fetched.is_err() {
            self.forget_unfetched(key, &cell);
        }
        self.make_room(key);
        fetched
    }

    /// The object has changed or is gone.
    pub(crate) fn forget(&self, key: &str) {
        let copy = self.copies().by_key.remove(key);
        if let Some(file) = copy.as_ref().and_then(|copy| copy.file.get()) {
            remove(file);
        }
    }

    fn copies(&self) -> MutexGuard<'_, Copies> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, key: &str) -> (Arc<OnceCell<PathBuf>>, u64) {
        let mut copies = self.copies();
        copies.uses += 1;
        let used = copies.uses;
        let empty = || Copy { file: Arc::default(), bytes: 0, used };
        let copy = copies.by_key.entry(key.to_owned()).or_insert_with(empty);
        copy.used = used;
        (Arc::clone(&copy.file), used)
    }

    fn holds(&self, key: &str, cell: &Arc<OnceCell<PathBuf>>, bytes: u64) {
        if let Some(copy) = self.copies().by_key.get_mut(key).filter(|copy| Arc::ptr_eq(&copy.file, cell)) {
            copy.bytes = bytes;
        }
    }

    fn forget_unfetched(&self, key: &str, cell: &Arc<OnceCell<PathBuf>>) {
        let mut copies = self.copies();
        if copies.by_key.get(key).is_some_and(|copy| Arc::ptr_eq(&copy.file, cell) && cell.get().is_none()) {
            copies.by_key.remove(key);
        }
    }

    /// Whoever has a removed file open may still read it to its end.
    fn make_room(&self, keep: &str) {
        let mut copies = self.copies();
        let mut bytes: u64 = copies.by_key.values().map(|copy| copy.bytes).sum();
        while bytes > self.limit {
            let fetched = copies.by_key.iter().filter(|(key, copy)| key.as_str() != keep && copy.file.initialized());
            let Some(oldest) = fetched.min_by_key(|(_, copy)| copy.used).map(|(key, _)| key.clone()) else { break };
            let Some(copy) = copies.by_key.remove(&oldest) else { break };
            bytes -= copy.bytes;
            if let Some(file) = copy.file.get() {
                remove(file);
            }
        }
    }
}

/// That it is not there is fine; whatever else hinders goes with the whole folder.
fn remove(file: &Path) {
    let _ = fs::remove_file(file);
}

#[cfg(test)]
mod tests {
    use super::*;
    use quire_platform::Error;

    async fn fetched(cache: &Cache, key: &str, bytes: u64) -> PathBuf {
        let fetch = |place: PathBuf| async move {
            fs::write(place, vec![0; bytes as usize]).expect("a file");
            Ok(bytes)
        };
        cache.file(key, fetch).await.expect("fetched")
    }

    async fn kept(cache: &Cache, key: &str) -> PathBuf {
        cache.file(key, |_| async { panic!("it is there") }).await.expect("kept")
    }

    #[tokio::test]
    async fn the_least_recently_used_copies_make_room() {
        let cache = Cache::new(10).expect("a folder");
        let (first, second) = (fetched(&cache, "first", 4).await, fetched(&cache, "second", 4).await);
        assert_eq!(kept(&cache, "first").await, first);
        let large = fetched(&cache, "large", 6).await;
        assert!(first.exists() && large.exists() && !second.exists());
        let larger = fetched(&cache, "larger", 60).await;
        assert!(larger.exists() && !first.exists() && !large.exists(), "one alone may be over the limit");
    }

    #[tokio::test]
    async fn a_copy_that_could_not_be_fetched_is_fetched_anew() {
        let cache = Cache::new(10).expect("a folder");
        let missing = |_| async { Err(Error::NotFound { what: "key".to_owned() }) };
        assert!(cache.file("key", missing).await.is_err());
        assert!(cache.copies().by_key.is_empty());
        assert!(fetched(&cache, "key", 1).await.exists());
        cache.forget("key");
        assert!(fetched(&cache, "key", 2).await.exists());
    }
}
