//! The object store: one file for each object.
//!
//! A write is atomic and durable: the file is written to the spool, synced, and renamed to its key.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use quire_platform::{DiskSpace, Download, Error, ObjectStore, Result};
use tempfile::{NamedTempFile, TempPath};

use crate::durable;

const WHAT: &str = "object store";

/// The object store on files.
#[derive(Debug, Clone)]
pub(crate) struct FileObjects {
    objects: PathBuf,
    spool: PathBuf,
}

impl FileObjects {
    /// Opens the object store in `dir`.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let files = Self { objects: dir.join("objects"), spool: dir.join("spool") };
        durable::delete_abandoned(&files.spool, durable::ABANDONED_AFTER)
            .map_err(|error| durable::failure(WHAT, &files.spool.display().to_string(), &error))?;
        Ok(files)
    }

    /// Deletes all spool files.
    pub(crate) async fn empty_spool(&self) -> Result<()> {
        self.run("spool", |files, _| durable::delete_abandoned(&files.spool, Duration::ZERO)).await
    }

    /// Runs blocking work on the blocking thread pool.
    async fn run<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce(&Self, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let files = self.clone();
        let key = key.to_owned();
        let work = move || {
            work(&files, &key).map_err(|error| match error.kind() {
                ErrorKind::NotFound => Error::NotFound { what: key },
                _ => durable::failure(WHAT, &key, &error),
            })
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|stopped| Err(Error::Failed { what: WHAT, why: stopped.to_string() }))
    }

    /// Returns the path of an object. A key must be a relative path of plain names, so that no key leads out of the
    /// store.
    fn place(&self, key: &str) -> io::Result<PathBuf> {
        let plain = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['\0', '\\']);
        if key.split('/').all(plain) {
            Ok(self.objects.join(key))
        } else {
            Err(io::Error::new(ErrorKind::InvalidInput, "invalid key"))
        }
    }

    /// Writes and syncs a spool file.
    fn write(&self, bytes: &[u8]) -> io::Result<TempPath> {
        let mut file = NamedTempFile::new_in(&self.spool)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok(file.into_temp_path())
    }

    fn put(&self, key: &str, bytes: &[u8]) -> io::Result<()> {
        let place = self.place(key)?;
        let file = self.write(bytes)?;
        move_into_place(&place, || file.persist(&place).map_err(|refused| refused.error))
    }

    fn put_new(&self, key: &str, bytes: &[u8]) -> io::Result<bool> {
        let place = self.place(key)?;
        let new = !place.exists() && {
            let file = self.write(bytes)?;
            match move_into_place(&place, || file.persist_noclobber(&place).map_err(|refused| refused.error)) {
                Ok(()) => true,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
                Err(error) => return Err(error),
            }
        };
        if !new {
            // The writer may have died before it synced the folder, and the calling code now relies on the object.
            durable::sync_folder(parent(&place))?;
        }
        Ok(new)
    }

    fn put_file(&self, key: &str, file: &Path) -> io::Result<()> {
        let place = self.place(key)?;
        let mut source = File::open(file)?;
        source.sync_all()?;
        match move_into_place(&place, || fs::rename(file, &place)) {
            Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                let mut copy = NamedTempFile::new_in(&self.spool)?;
                io::copy(&mut source, &mut copy)?;
                copy.as_file().sync_all()?;
                move_into_place(&place, || copy.persist(&place).map(drop).map_err(|refused| refused.error))
            }
            done => done,
        }
    }

    /// Copies an object unless it is too large. Objects are replaced by rename and never modified, so the opened file
    /// cannot grow.
    fn copy(&self, key: &str, max_bytes: u64, into: &Path) -> io::Result<Download> {
        let mut source = File::open(self.place(key)?)?;
        let metadata = source.metadata()?;
        if !metadata.is_file() {
            return Err(ErrorKind::NotFound.into());
        }
        let bytes = metadata.len();
        if bytes > max_bytes {
            return Ok(Download::TooLarge { bytes });
        }
        let copy = File::create(into).and_then(|mut copy| io::copy(&mut source, &mut copy));
        // A missing target folder must not look like a missing object.
        copy.map(|bytes| Download::Whole { bytes }).map_err(|error| match error.kind() {
            ErrorKind::NotFound => io::Error::other(format!("{}: {error}", into.display())),
            _ => error,
        })
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        // All matching keys are in the folder that the prefix names; the rest of the prefix is the beginning of a name.
        let folder = match prefix.rsplit_once('/') {
            Some((folder, _)) => self.place(folder)?,
            None => self.objects.clone(),
        };
        let mut keys = Vec::new();
        self.walk(&folder, &mut keys)?;
        keys.retain(|key| key.starts_with(prefix));
        keys.sort_unstable();
        Ok(keys)
    }

    fn walk(&self, folder: &Path, keys: &mut Vec<String>) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                self.walk(&path, keys)?;
            } else if let Some(key) = path.strip_prefix(&self.objects).ok().and_then(Path::to_str) {
                keys.push(key.to_owned());
            }
        }
        Ok(())
    }

    /// Deletes all files whose keys begin with the prefix, and the folders that become empty.
    fn erase(&self, prefix: &str) -> io::Result<usize> {
        if prefix.is_empty() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the prefix must not be empty"));
        }
        let keys = self.list(prefix)?;
        let mut folders = BTreeSet::new();
        for key in &keys {
            let place = self.place(key)?;
            ignore_missing(fs::remove_file(&place))?;
            folders.extend(place.ancestors().skip(1).take_while(|folder| *folder != self.objects).map(Path::to_owned));
        }
        // Innermost folders first.
        for folder in folders.iter().rev() {
            let key = folder.strip_prefix(&self.objects).unwrap_or(folder);
            if format!("{}/", key.display()).starts_with(prefix) {
                // A folder that another process uses is not empty, and stays.
                let _ = fs::remove_dir(folder);
            }
            ignore_missing(durable::sync_folder(folder))?;
        }
        Ok(keys.len())
    }

    fn delete(&self, key: &str) -> io::Result<()> {
        let place = self.place(key)?;
        ignore_missing(fs::remove_file(&place))?;
        ignore_missing(durable::sync_folder(parent(&place)))
    }
}

/// Treats a missing file as success.
fn ignore_missing(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
        removed => removed,
    }
}

/// Moves a synced file to its key by `rename`, and syncs its folder.
fn move_into_place(place: &Path, rename: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let folder = parent(place);
    durable::create_folder(folder)?;
    rename()?;
    durable::sync_folder(folder)
}

fn parent(place: &Path) -> &Path {
    place.parent().unwrap_or(place)
}

#[async_trait]
impl ObjectStore for FileObjects {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        self.run(key, move |files, key| files.put(key, &bytes)).await
    }

    async fn put_new(&self, key: &str, bytes: Bytes) -> Result<bool> {
        self.run(key, move |files, key| files.put_new(key, &bytes)).await
    }

    async fn put_file(&self, key: &str, file: &Path) -> Result<()> {
        let file = file.to_owned();
        self.run(key, move |files, key| files.put_file(key, &file)).await
    }

    async fn read(&self, key: &str) -> Result<Bytes> {
        self.run(key, |files, key| Ok(fs::read(files.place(key)?)?.into())).await
    }

    async fn local_file(&self, key: &str) -> Result<PathBuf> {
        let found = |files: &Self, key: &str| {
            let place = files.place(key)?;
            if fs::metadata(&place)?.is_file() { Ok(place) } else { Err(ErrorKind::NotFound.into()) }
        };
        self.run(key, found).await
    }

    async fn download(&self, key: &str, _version: Option<&str>, max_bytes: u64, into: &Path) -> Result<Download> {
        let into = into.to_owned();
        self.run(key, move |files, key| files.copy(key, max_bytes, &into)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.run(prefix, Self::list).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.run(key, Self::delete).await
    }

    async fn erase(&self, prefix: &str) -> Result<usize> {
        self.run(prefix, Self::erase).await
    }

    fn disk_space(&self) -> Option<DiskSpace> {
        durable::disk_space(&self.spool).ok()
    }

    fn spool(&self) -> PathBuf {
        self.spool.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn store() -> (tempfile::TempDir, FileObjects) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let backend = durable::create_data_folder(dir.path()).expect("folders");
        let files = FileObjects::open(&backend).expect("a store");
        (dir, files)
    }

    #[tokio::test]
    async fn a_key_cannot_escape_the_store() {
        let (_dir, files) = store();
        for key in ["", "/etc/passwd", "..", "a/../../b", "a//b", "a/", "./a", "a\0b", "a\\..\\b"] {
            let refused = ObjectStore::put(&files, key, Bytes::from_static(b"x")).await;
            assert!(matches!(refused, Err(Error::Failed { .. })), "{key:?}: {refused:?}");
            assert!(ObjectStore::read(&files, key).await.is_err(), "{key:?}");
            assert!(ObjectStore::delete(&files, key).await.is_err(), "{key:?}");
        }
        assert!(ObjectStore::list(&files, "../").await.is_err());
    }

    #[tokio::test]
    async fn writes_leave_nothing_in_the_spool() {
        let (_dir, files) = store();
        let bytes = Bytes::from_static(b"x");
        ObjectStore::put(&files, "a/b", bytes.clone()).await.expect("put");
        assert!(!ObjectStore::put_new(&files, "a/b", bytes.clone()).await.expect("not put"));
        // A key below an existing object is impossible: the name is a file.
        assert!(ObjectStore::put(&files, "a/b/c", bytes).await.is_err());
        assert_eq!(fs::read_dir(files.spool()).expect("the spool").count(), 0);
    }

    #[test]
    fn only_abandoned_spool_files_are_deleted() {
        let (dir, files) = store();
        let old = files.spool.join("old");
        let fresh = files.spool.join("fresh");
        let long_ago = SystemTime::now() - Duration::from_hours(48);
        File::create(&old).and_then(|file| file.set_modified(long_ago)).expect("an old file");
        File::create(&fresh).expect("a fresh file");
        FileObjects::open(dir.path()).expect("opened again");
        assert!(!old.exists());
        assert!(fresh.exists());
    }
}
