//! The backend that a command works on. Which kind it is matters here, and to nobody else.

use std::{ffi::OsString, fmt, fs::File, path::PathBuf, sync::Arc};

use anyhow::ensure;
use quire_platform::{Backend, retry_with_backoff};
use quire_platform_embedded::Embedded;

use crate::{
    aws,
    cli::{self, Platform},
    home_dir,
};

/// A backend that is open. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Site {
    /// A folder on this machine. The lock says that it is in use, until the last clone is dropped.
    Folder { dir: PathBuf, embedded: Embedded, _lock: Option<Arc<File>> },
    /// On AWS, as the environment says.
    Aws(Backend),
}

impl Site {
    /// For `serve`: a folder is then its alone, so whatever was leased in it by anybody is free again.
    ///
    /// # Errors
    /// When somebody else uses the folder, or the backend cannot be had.
    pub(crate) async fn to_serve(place: &cli::Place) -> anyhow::Result<Self> {
        let Some(dir) = folder(place)? else { return Self::on_aws().await };
        let entered = dir.clone();
        let lock = tokio::task::spawn_blocking(move || home_dir::enter_as_serve(&entered)).await??;
        let embedded = Embedded::open(&dir, &format!("serve-{}", std::process::id()))?;
        embedded.expire_leases().await?;
        Ok(Self::Folder { dir, embedded, _lock: Some(Arc::new(lock)) })
    }

    /// For a worker, which holds its leases under this name.
    ///
    /// # Errors
    /// When the backend cannot be had.
    pub(crate) async fn to_read(place: &cli::Place, holder: &str) -> anyhow::Result<Self> {
        let Some(dir) = folder(place)? else { return Self::on_aws().await };
        let lock = home_dir::enter_as_worker(&dir)?;
        let embedded = Embedded::open(&dir, holder)?;
        Ok(Self::Folder { dir, embedded, _lock: Some(Arc::new(lock)) })
    }

    /// For an operator, whether it is being served or not; a folder is made where there is none.
    ///
    /// # Errors
    /// When the backend cannot be had.
    pub(crate) async fn made(place: &cli::Place) -> anyhow::Result<Self> {
        let Some(dir) = folder(place)? else { return Self::on_aws().await };
        let embedded = Embedded::open(&dir, &format!("operator-{}", std::process::id()))?;
        Ok(Self::Folder { dir, embedded, _lock: None })
    }

    /// For an operator, as [`Site::made`]; but nothing is made.
    ///
    /// # Errors
    /// When the folder is no backend, or the backend cannot be had.
    pub(crate) async fn existing(place: &cli::Place) -> anyhow::Result<Self> {
        if let Some(dir) = folder(place)? {
            ensure!(dir.join("quire.db").is_file(), "{} is not a data folder: name one with --data DIR", dir.display());
        }
        Self::made(place).await
    }

    async fn on_aws() -> anyhow::Result<Self> {
        Ok(Self::Aws(aws::connect().await?))
    }

    /// Its parts.
    pub(crate) fn backend(&self) -> Backend {
        match self {
            Self::Folder { embedded, .. } => embedded.backend(),
            Self::Aws(backend) => backend.clone(),
        }
    }

    /// Whether nobody else serves it: then a task that was never sent is nobody's work any more.
    pub(crate) const fn is_ours_alone(&self) -> bool {
        matches!(self, Self::Folder { .. })
    }

    /// By which arguments another process finds it.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        match self {
            Self::Folder { dir, .. } => vec!["--platform".into(), "embedded".into(), "--data".into(), dir.into()],
            Self::Aws(_) => vec!["--platform".into(), "aws".into()],
        }
    }

    /// The process that was named `holder` has died: what it held is received again now. On AWS that takes until its
    /// leases have run out, which is soon.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`].
    pub(crate) async fn forfeit(&self, holder: &str) -> quire_platform::Result<()> {
        match self {
            Self::Folder { embedded, .. } => retry_with_backoff(|| embedded.release_leases_of_dead_owner(holder)).await,
            Self::Aws(_) => Ok(()),
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { dir, .. } => dir.display().fmt(f),
            Self::Aws(_) => f.write_str("AWS"),
        }
    }
}

/// The folder of an embedded backend; none for one on AWS.
fn folder(place: &cli::Place) -> anyhow::Result<Option<PathBuf>> {
    match place.platform {
        Platform::Embedded => Ok(Some(std::path::absolute(place.data.dir()?)?)),
        Platform::Aws => Ok(None),
    }
}
