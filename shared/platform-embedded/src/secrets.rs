//! The secret store: files readable only by their owner.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use async_trait::async_trait;
use quire_platform::{Error, Result, SecretName, SecretStore};
use uuid::Uuid;

use crate::{durable, permissions::FILE_MODE};

const WHAT: &str = "secret";

/// The secret store in the data folder.
#[derive(Debug)]
pub(crate) struct FileSecrets {
    dir: PathBuf,
}

impl FileSecrets {
    pub(crate) const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Runs blocking work on a secret's file, on the blocking thread pool.
    async fn run<T: Send + 'static>(
        &self,
        name: SecretName,
        work: impl FnOnce(PathBuf) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let file = self.dir.join(match name {
            SecretName::Webhook => "webhook-secret",
        });
        let work =
            move || work(file.clone()).map_err(|error| durable::failure(WHAT, &file.display().to_string(), &error));
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|stopped| Err(Error::Failed { what: WHAT, why: stopped.to_string() }))
    }
}

#[async_trait]
impl SecretStore for FileSecrets {
    async fn read(&self, name: SecretName) -> Result<Option<String>> {
        let read = |file: PathBuf| match fs::read_to_string(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            text => text.map(|text| Some(text.trim().to_owned())),
        };
        self.run(name, read).await
    }

    async fn put_new(&self, name: SecretName, value: &str) -> Result<String> {
        let value = value.to_owned();
        let put = move |file: PathBuf| {
            let draft = file.with_extension(Uuid::now_v7().simple().to_string());
            let kept = write(&draft, &value).and_then(|()| link_first(&draft, &file));
            // The draft may not exist.
            let _ = fs::remove_file(&draft);
            kept.map(|text| text.trim().to_owned())
        };
        self.run(name, put).await
    }
}

/// Writes and syncs a secret's draft, readable only by its owner.
fn write(draft: &PathBuf, value: &str) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(FILE_MODE).open(draft)?;
    writeln!(file, "{value}")?;
    file.sync_all()
}

/// Links the draft to its final name unless that exists (an atomic create), and returns the stored secret.
fn link_first(draft: &PathBuf, file: &PathBuf) -> io::Result<String> {
    match fs::hard_link(draft, file) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => durable::sync_folder(file.parent().unwrap_or(file))?,
    }
    fs::read_to_string(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_secret_is_readable_only_by_its_owner() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let secrets = FileSecrets::new(dir.path().to_owned());
        secrets.put_new(SecretName::Webhook, "whsec_AAAA").await.expect("put");
        secrets.put_new(SecretName::Webhook, "whsec_BBBB").await.expect("not put");
        let files: Vec<_> = fs::read_dir(dir.path()).expect("the folder is readable").flatten().collect();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].metadata().expect("metadata").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(files[0].path()).expect("text"), "whsec_AAAA\n");
    }

    #[tokio::test]
    async fn an_unreadable_secret_is_an_error() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(dir.path().join("webhook-secret")).expect("a folder in its place");
        let read = FileSecrets::new(dir.path().to_owned()).read(SecretName::Webhook).await;
        assert!(read.is_err_and(|error| error.to_string().contains("webhook-secret")));
    }
}
