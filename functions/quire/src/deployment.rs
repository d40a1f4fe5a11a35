//! The backend that a command works on: opens it by the command's arguments. Nothing else depends on its kind.

use std::{
    ffi::OsString,
    fmt,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::ensure;
use quire_platform::{Backend, retry_with_backoff};
use quire_platform_embedded::Embedded;

use crate::{
    aws,
    cli::{BackendKind, DeploymentArgs},
    data_dir,
};

/// An open backend. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Deployment {
    /// A folder on this machine. It stays locked until the last clone is dropped.
    Folder { dir: PathBuf, embedded: Embedded, _lock: Option<Arc<File>> },
    /// AWS, configured by the environment.
    Aws(Backend),
}

impl Deployment {
    /// Opens the backend for `serve`. A folder is locked exclusively, so all leases in it are stale and are expired.
    ///
    /// # Errors
    /// When another process uses the folder, or the backend cannot be opened.
    pub(crate) async fn open_for_serve(args: &DeploymentArgs) -> anyhow::Result<Self> {
        let Some(dir) = data_dir(args)? else { return Self::open_aws().await };
        let locked_dir = dir.clone();
        let lock = tokio::task::spawn_blocking(move || data_dir::lock_for_serve(&locked_dir)).await??;
        let embedded = Embedded::open(&dir, &format!("serve-{}", std::process::id()))?;
        embedded.expire_leases().await?;
        Ok(Self::Folder { dir, embedded, _lock: Some(Arc::new(lock)) })
    }

    /// Opens the backend for a worker that holds its leases under the name `holder`.
    ///
    /// # Errors
    /// When the backend cannot be opened.
    pub(crate) async fn open_for_worker(args: &DeploymentArgs, holder: &str) -> anyhow::Result<Self> {
        let Some(dir) = data_dir(args)? else { return Self::open_aws().await };
        let lock = data_dir::lock_for_worker(&dir)?;
        let embedded = Embedded::open(&dir, holder)?;
        Ok(Self::Folder { dir, embedded, _lock: Some(Arc::new(lock)) })
    }

    /// Opens the backend for an operator's command, whether it is being served or not. Creates a missing folder.
    ///
    /// # Errors
    /// When the backend cannot be opened.
    pub(crate) async fn open_or_create(args: &DeploymentArgs) -> anyhow::Result<Self> {
        let Some(dir) = data_dir(args)? else { return Self::open_aws().await };
        let embedded = Embedded::open(&dir, &format!("operator-{}", std::process::id()))?;
        Ok(Self::Folder { dir, embedded, _lock: None })
    }

    /// Opens the backend for an operator's command. A missing folder is an error: most likely the operator mistyped it.
    ///
    /// # Errors
    /// When the folder is not a data folder, or the backend cannot be opened.
    pub(crate) async fn open_existing(args: &DeploymentArgs) -> anyhow::Result<Self> {
        if let Some(dir) = data_dir(args)? {
            ensure!(dir.join("quire.db").is_file(), "{} is not a data folder: name one with --data DIR", dir.display());
        }
        Self::open_or_create(args).await
    }

    async fn open_aws() -> anyhow::Result<Self> {
        Ok(Self::Aws(aws::connect().await?))
    }

    /// Returns the backend's handles.
    pub(crate) fn backend(&self) -> Backend {
        match self {
            Self::Folder { embedded, .. } => embedded.backend(),
            Self::Aws(backend) => backend.clone(),
        }
    }

    /// Returns the data folder; `None` on AWS.
    pub(crate) fn data_dir(&self) -> Option<&Path> {
        match self {
            Self::Folder { dir, .. } => Some(dir),
            Self::Aws(_) => None,
        }
    }

    /// Returns whether no other process serves the backend: then a task whose messages were never sent is stale.
    pub(crate) const fn is_exclusive(&self) -> bool {
        matches!(self, Self::Folder { .. })
    }

    /// Returns the arguments with which a child process opens the same backend.
    pub(crate) fn child_arguments(&self) -> Vec<OsString> {
        match self {
            Self::Folder { dir, .. } => vec!["--platform".into(), "embedded".into(), "--data".into(), dir.into()],
            Self::Aws(_) => vec!["--platform".into(), "aws".into()],
        }
    }

    /// Returns whether the data folder's disk is full; false on AWS.
    ///
    /// # Errors
    /// When the data folder cannot be accessed.
    pub(crate) fn is_disk_full(&self) -> quire_platform::Result<bool> {
        match self {
            Self::Folder { embedded, .. } => embedded.is_disk_full(),
            Self::Aws(_) => Ok(false),
        }
    }

    /// Releases the leases of a process that has died, so that its messages are received again at once. On AWS they
    /// return when their visibility timeout expires.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`].
    pub(crate) async fn release_leases_of(&self, holder: &str) -> quire_platform::Result<()> {
        match self {
            Self::Folder { embedded, .. } => retry_with_backoff(|| embedded.release_leases_of_dead_owner(holder)).await,
            Self::Aws(_) => Ok(()),
        }
    }
}

impl fmt::Display for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { dir, .. } => dir.display().fmt(f),
            Self::Aws(_) => f.write_str("AWS"),
        }
    }
}

/// Returns the folder of an embedded backend; `None` for AWS.
fn data_dir(args: &DeploymentArgs) -> anyhow::Result<Option<PathBuf>> {
    match args.platform {
        BackendKind::Embedded => Ok(Some(std::path::absolute(args.data.dir()?)?)),
        BackendKind::Aws => Ok(None),
    }
}
