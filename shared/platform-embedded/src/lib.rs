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

mod connection;
mod database;
mod durable;
mod fair_queue;
mod fault;
mod messages;
mod objects;
mod queue;
mod records;
mod schema;
mod secrets;
mod table;
mod task_rows;
mod wakeup;

use std::{path::Path, sync::Arc};

use quire_platform::{Backend, ObjectStore, QueueName, QueueSettings, Result};

use database::Database;
use objects::Files;
use queue::SqliteQueue;
use records::SqliteShelves;
use secrets::FileSecrets;
use table::SqliteTable;
use wakeup::Bells;

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
    /// [`quire_platform::Error::Failed`] where the folder or its database cannot be read and written, or was written by a later
    /// version of this program; [`quire_platform::Error::Full`] without space.
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
    /// Any [`quire_platform::Error`].
    pub async fn release_leases_of_dead_owner(&self, holder: &str) -> Result<()> {
        let holder = holder.to_owned();
        self.database
            .write(move |connection, changes| messages::release_leases_of_dead_owner(connection, changes, &holder))
            .await
    }

    /// Nobody else uses this backend, says the caller: all leases end now. Their receives do not count, for the whole
    /// system was interrupted, and no message is to blame. One that is interrupted again and again goes to the
    /// dead-letter queue all the same: perhaps it is what brings the machine down. And what was in the spool is nobody's.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`].
    pub async fn expire_leases(&self) -> Result<()> {
        self.files.empty_spool().await?;
        self.database.write(messages::expire_leases).await
    }
}
