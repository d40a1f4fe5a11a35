//! The embedded backend: one machine, with files and SQLite.
//!
//! ```text
//! DIR/quire.db        queues, task table and records (SQLite in WAL mode)
//! DIR/objects/        the object store: one file for each key
//! DIR/webhook-secret  the secret that signs webhooks
//! DIR/spool/          temporary files on the file system of the object store, so that a rename is atomic
//! DIR/reserve         space for deletions on a full disk
//! DIR/bells/          one socket for each process, for cross-process wake-ups
//! ```
//!
//! Several processes may open the same folder: SQLite locks the database, and each commit wakes up the other processes.
//!
//! ```
//! use quire_platform::QueueName;
//! use quire_platform_embedded::Embedded;
//!
//! let folder = tempfile::tempdir().expect("a temporary folder");
//! let backend = Embedded::open(folder.path(), "example").expect("the folder is writable").backend();
//! assert_eq!(backend.queue(QueueName::Pages).name(), QueueName::Pages);
//! ```

mod connection;
mod database;
mod durable;
mod fair_queue;
mod fault;
mod messages;
mod objects;
mod permissions;
mod queue;
mod records;
mod reserve;
mod schema;
mod scrub;
mod secrets;
mod table;
mod task_rows;
mod wakeup;

use std::{path::Path, sync::Arc};

use quire_platform::{Backend, ObjectStore, QueueName, QueueSettings, Result};

use database::Database;
use objects::FileObjects;
use queue::SqliteQueue;
use records::SqliteRecords;
use reserve::Reserve;
use scrub::Scrubber;
use secrets::FileSecrets;
use table::SqliteTable;
use wakeup::WakeupNotifier;

/// Returns the version of SQLite, which is part of this program.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// The embedded backend. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Embedded {
    backend: Backend,
    files: Arc<FileObjects>,
    database: Arc<Database>,
    reserve: Arc<Reserve>,
}

impl Embedded {
    /// Opens the backend in a folder and creates it if it does not exist. `holder` names this process as the owner of
    /// its leases. Blocks the thread.
    ///
    /// # Errors
    /// [`quire_platform::Error::Failed`] if the folder or its database cannot be read and written, or has the schema of
    /// a later version; [`quire_platform::Error::Full`] without free space.
    pub fn open(dir: &Path, holder: &str) -> Result<Self> {
        Self::open_with(dir, holder, QueueName::settings)
    }

    /// As [`Embedded::open`], with other queue settings.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn open_with(dir: &Path, holder: &str, settings: impl Fn(QueueName) -> QueueSettings) -> Result<Self> {
        let dir = durable::create_data_folder(dir)?;
        let files = Arc::new(FileObjects::open(&dir)?);
        let notifier = Arc::new(WakeupNotifier::bind(&dir.join("bells")));
        let path = dir.join("quire.db");
        let reserve = Arc::new(Reserve::open(&dir));
        let database = reserve.open_database(|| Database::open(&path, Arc::clone(&notifier)))?;
        let database = Arc::new(database);
        let scrubber = Scrubber::new(&path, Arc::clone(&reserve));
        let tasks = Arc::new(SqliteTable::new(Arc::clone(&database), Arc::clone(&reserve), scrubber));
        let secrets = Arc::new(FileSecrets::new(dir));
        let records = Arc::new(SqliteRecords::new(Arc::clone(&database), Arc::clone(&reserve)));
        let holder: Arc<str> = holder.into();
        let backend = Backend::new(Arc::clone(&files) as Arc<dyn ObjectStore>, tasks, secrets, records, |name| {
            Arc::new(SqliteQueue::new(name, settings(name), Arc::clone(&holder), Arc::clone(&database)))
        });
        Ok(Self { backend, files, database, reserve })
    }

    /// Returns the handles to the backend.
    pub fn backend(&self) -> Backend {
        self.backend.clone()
    }

    /// Returns whether the disk is full, so that only deletions can be expected to succeed. Blocks the thread for a
    /// system call.
    ///
    /// # Errors
    /// [`quire_platform::Error::Failed`] if the data folder cannot be accessed.
    pub fn is_disk_full(&self) -> Result<bool> {
        self.reserve.is_used()
    }

    /// Releases the leases of a dead process. Their receives count as attempts, since the message may have crashed it.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`].
    pub async fn release_leases_of_dead_owner(&self, holder: &str) -> Result<()> {
        let holder = holder.to_owned();
        self.database
            .write(move |connection, changes| messages::release_leases_of_dead_owner(connection, changes, &holder))
            .await
    }

    /// Expires all leases and deletes all spool files, after the whole system was interrupted. Must be called only
    /// while no other process uses the backend. The interrupted receives do not count as attempts; but a message that
    /// is interrupted again and again moves to the dead-letter queue, since it may be what crashes the machine.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`].
    pub async fn expire_leases(&self) -> Result<()> {
        self.files.empty_spool().await?;
        self.reserve.delete(|| self.database.write(messages::expire_leases)).await
    }
}
