//! The record store on SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use quire_platform::{
    Collection, Record, RecordStore, Result, now,
    records::{new_version, partition_end, partition_prefix, validate_body, validate_key, validate_list},
};
use quire_tasks::UnixMillis;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{database::Database, fault::TransactionError, reserve::Reserve};

/// The record store.
#[derive(Debug)]
pub(crate) struct SqliteRecords {
    database: Arc<Database>,
    reserve: Arc<Reserve>,
}

/// A record to write.
struct RecordWrite {
    collection: Collection,
    key: String,
    body: String,
    expires_at: Option<i64>,
}

impl SqliteRecords {
    pub(crate) const fn new(database: Arc<Database>, reserve: Arc<Reserve>) -> Self {
        Self { database, reserve }
    }
}

impl RecordWrite {
    fn new(collection: Collection, key: &str, body: String, expires_at: Option<UnixMillis>) -> Result<Self> {
        validate_key(collection, key)?;
        validate_body(&body)?;
        Ok(Self { collection, key: key.to_owned(), body, expires_at: expires_at.map(|at| at.0) })
    }
}

#[async_trait]
impl RecordStore for SqliteRecords {
    async fn read(&self, collection: Collection, key: &str) -> Result<Option<Record>> {
        validate_key(collection, key)?;
        let key = key.to_owned();
        self.database.read(move |connection| find(connection, collection, &key)).await
    }

    async fn put(
        &self,
        collection: Collection,
        key: &str,
        body: String,
        expected_version: Option<u64>,
        expires_at: Option<UnixMillis>,
    ) -> Result<bool> {
        let writing = RecordWrite::new(collection, key, body, expires_at)?;
        self.database
            .write(move |connection, _| match expected_version {
                Some(expected_version) => replace(connection, &writing, expected_version),
                None => insert(connection, &writing),
            })
            .await
    }

    async fn set(&self, collection: Collection, key: &str, body: String, expires_at: Option<UnixMillis>) -> Result<()> {
        let writing = RecordWrite::new(collection, key, body, expires_at)?;
        self.database
            .write(move |connection, _| {
                delete(connection, writing.collection, &writing.key, None)?;
                insert(connection, &writing).map(drop)
            })
            .await
    }

    async fn delete(&self, collection: Collection, key: &str, expected_version: Option<u64>) -> Result<bool> {
        validate_key(collection, key)?;
        let delete = || {
            let key = key.to_owned();
            self.database.write(move |connection, _| delete(connection, collection, &key, expected_version))
        };
        self.reserve.delete(delete).await
    }

    async fn list(&self, collection: Collection, after: Option<&str>, limit: usize) -> Result<Vec<Record>> {
        validate_list(collection, after)?;
        // All keys are between the empty string and DEL, since they are visible ASCII.
        let after = after.unwrap_or_default().to_owned();
        let below = "\x7f".to_owned();
        self.database.read(move |connection| list(connection, collection, &after, &below, limit)).await
    }

    async fn list_partition(
        &self,
        collection: Collection,
        partition: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let prefix = partition_prefix(collection, partition, after)?;
        let after = after.filter(|after| **after > *prefix).unwrap_or(&prefix).to_owned();
        let below = partition_end(&prefix);
        self.database.read(move |connection| list(connection, collection, &after, &below, limit)).await
    }
}

fn find(connection: &Connection, collection: Collection, key: &str) -> Result<Option<Record>, TransactionError> {
    let mut select = connection.prepare_cached(
        "SELECT key, version, body FROM records WHERE shelf = ?1 AND key = ?2
         AND (expires_at IS NULL OR expires_at > ?3)",
    )?;
    Ok(select.query_row(params![collection.as_str(), key, now().0], record).optional()?)
}

fn list(
    connection: &Connection,
    collection: Collection,
    after: &str,
    below: &str,
    limit: usize,
) -> Result<Vec<Record>, TransactionError> {
    let mut select = connection.prepare_cached(
        "SELECT key, version, body FROM records WHERE shelf = ?1 AND key > ?2 AND key < ?3
         AND (expires_at IS NULL OR expires_at > ?4) ORDER BY key LIMIT ?5",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let records = select.query_map(params![collection.as_str(), after, below, now().0, limit], record)?;
    Ok(records.collect::<rusqlite::Result<_>>()?)
}

fn insert(connection: &Connection, writing: &RecordWrite) -> Result<bool, TransactionError> {
    delete_expired(connection)?;
    let RecordWrite { collection, key, body, expires_at } = writing;
    let sql = "INSERT INTO records (shelf, key, version, body, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT DO NOTHING";
    let values = params![collection.as_str(), key, new_version() as i64, body, expires_at];
    Ok(connection.prepare_cached(sql)?.execute(values)? > 0)
}

fn replace(connection: &Connection, writing: &RecordWrite, expected_version: u64) -> Result<bool, TransactionError> {
    delete_expired(connection)?;
    let RecordWrite { collection, key, body, expires_at } = writing;
    let sql =
        "UPDATE records SET version = ?3, body = ?4, expires_at = ?5 WHERE shelf = ?1 AND key = ?2 AND version = ?6";
    let values = params![collection.as_str(), key, new_version() as i64, body, expires_at, expected_version as i64];
    Ok(connection.prepare_cached(sql)?.execute(values)? > 0)
}

fn delete(
    connection: &Connection,
    collection: Collection,
    key: &str,
    expected_version: Option<u64>,
) -> Result<bool, TransactionError> {
    delete_expired(connection)?;
    let sql = "DELETE FROM records WHERE shelf = ?1 AND key = ?2 AND (?3 IS NULL OR version = ?3)";
    let expected_version = expected_version.map(|expected_version| expected_version as i64);
    Ok(connection.prepare_cached(sql)?.execute(params![collection.as_str(), key, expected_version])? > 0)
}

/// Deletes expired records. Every write does so first: expired records must not conflict, and must not accumulate.
fn delete_expired(connection: &Connection) -> Result<(), TransactionError> {
    connection.prepare_cached("DELETE FROM records WHERE expires_at <= ?1")?.execute([now().0])?;
    Ok(())
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record { key: row.get(0)?, version: row.get::<_, i64>(1)?.unsigned_abs(), body: row.get(2)? })
}
