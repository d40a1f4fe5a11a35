//! The backend on one machine, made of files and SQLite.
//!
//! ```text
//! DIR/quire.db   queues, task table and records
//! DIR/objects/   the object store, a file for each key
//! DIR/webhook-secret  what callbacks are signed with
//! DIR/spool/     files on their way into it, on the same file system
//! DIR/bells/     a socket for each process, so that waiting ends at once
//! ```
//!
//! Several processes may have the same folder open: the database locks, and whoever commits rings the others' bells.

mod bell;
mod connection;
mod database;
mod durable;
mod fault;
mod files;
mod messages;
mod queue;
mod records;
mod schema;
mod secrets;
mod shelves;
mod table;
mod turns;

use std::{path::Path, sync::Arc};

use crate::{Backend, ObjectStore, QueueName, QueueSettings, Result};
use bell::Bells;
use database::Database;
use files::Files;
use queue::SqliteQueue;
use secrets::FileSecrets;
use shelves::SqliteShelves;
use table::SqliteTable;

/// The backend on one machine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Embedded {
    backend: Backend,
    files: Arc<Files>,
    database: Arc<Database>,
}

impl Embedded {
    /// Opens the backend in a folder, and makes it where there is none. `holder` names this process on the leases it
    /// takes. Blocks while it does.
    ///
    /// # Errors
    /// [`crate::Error::Failed`] where the folder or its database cannot be read and written, or was written by a later
    /// version of this program; [`crate::Error::Full`] without space.
    pub fn open(dir: &Path, holder: &str) -> Result<Self> {
        Self::open_with(dir, holder, QueueName::settings)
    }

    /// As [`Embedded::open`], with other settings of the queues.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn open_with(dir: &Path, holder: &str, settings: impl Fn(QueueName) -> QueueSettings) -> Result<Self> {
        let dir = durable::prepare(dir)?;
        let files = Arc::new(Files::open(&dir)?);
        let bells = Arc::new(Bells::hang(&dir.join("bells")));
        let database = Arc::new(Database::open(&dir.join("quire.db"), bells)?);
        let tasks = Arc::new(SqliteTable::new(Arc::clone(&database)));
        let secrets = Arc::new(FileSecrets::new(dir));
        let records = Arc::new(SqliteShelves::new(Arc::clone(&database)));
        let holder: Arc<str> = holder.into();
        let backend = Backend::new(Arc::clone(&files) as Arc<dyn ObjectStore>, tasks, secrets, records, |name| {
            Arc::new(SqliteQueue::new(name, settings(name), Arc::clone(&holder), Arc::clone(&database)))
        });
        Ok(Self { backend, files, database })
    }

    /// Its parts.
    pub fn backend(&self) -> Backend {
        self.backend.clone()
    }

    /// The process that was named `holder` has died: its leases end now, and their receives count, for whatever it was
    /// reading may have killed it.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    pub async fn forfeit(&self, holder: &str) -> Result<()> {
        let holder = holder.to_owned();
        self.database.write(move |connection, changes| messages::forfeit(connection, changes, &holder)).await
    }

    /// Nobody else uses this backend, says the caller: all leases end now. Their receives do not count, for the whole
    /// system was interrupted, and no message is to blame. One that is interrupted again and again goes to the
    /// dead-letter queue all the same: perhaps it is what brings the machine down. And what was in the spool is nobody's.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    pub async fn reclaim(&self) -> Result<()> {
        self.files.empty_spool().await?;
        self.database.write(messages::reclaim).await
    }
}
