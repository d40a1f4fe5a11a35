//! The database schema and its migrations.

use rusqlite::{Connection, TransactionBehavior};

use crate::fault::TransactionError;

/// The migrations; the pragma `user_version` stores how many have run. A released migration must never change.
const MIGRATIONS: [&str; 4] = [VERSION_1, VERSION_2, VERSION_3, VERSION_4];

const VERSION_1: &str = "
    -- A message is leased while it has a holder and its visible_at lies ahead.
    CREATE TABLE messages (
        -- Never used twice, so that an old receipt cannot name another message.
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        queue TEXT NOT NULL,
        grp TEXT NOT NULL,
        body TEXT NOT NULL,
        visible_at INTEGER NOT NULL,
        receives INTEGER NOT NULL DEFAULT 0,
        -- Leases in all: unlike receives, it never goes down, and so tells one lease from the next.
        leases INTEGER NOT NULL DEFAULT 0,
        interruptions INTEGER NOT NULL DEFAULT 0,
        holder TEXT,
        reason TEXT
    ) STRICT;
    CREATE INDEX messages_in_order ON messages (queue, grp, visible_at, id);
    CREATE INDEX messages_held ON messages (holder, queue, visible_at) WHERE holder IS NOT NULL;

    -- The groups that have messages in a queue; the one served longest ago has the next turn.
    CREATE TABLE turns (
        queue TEXT NOT NULL,
        grp TEXT NOT NULL,
        served INTEGER NOT NULL,
        PRIMARY KEY (queue, grp)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX turns_in_order ON turns (queue, served);

    CREATE TABLE tasks (
        id TEXT PRIMARY KEY,
        created_at INTEGER NOT NULL,
        version INTEGER NOT NULL,
        dispatched INTEGER NOT NULL,
        record TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX tasks_undispatched ON tasks (created_at) WHERE dispatched = 0;

    CREATE TABLE pages (
        task TEXT NOT NULL,
        document INTEGER NOT NULL,
        page INTEGER NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (task, document, page)
    ) STRICT, WITHOUT ROWID;
";

const VERSION_2: &str = "ALTER TABLE messages ADD COLUMN trace TEXT;";

const VERSION_3: &str = "
    CREATE TABLE records (
        shelf TEXT NOT NULL,
        key TEXT NOT NULL,
        version INTEGER NOT NULL,
        body TEXT NOT NULL,
        expires_at INTEGER,
        PRIMARY KEY (shelf, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX records_expiring ON records (expires_at) WHERE expires_at IS NOT NULL;
";

/// A task from before this version never expires: the default is the value that its JSON record is parsed with.
const VERSION_4: &str = "
    ALTER TABLE tasks ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
    ALTER TABLE tasks ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 253402300799000;
    UPDATE tasks SET
        tenant = json_extract(record, '$.tenant'),
        expires_at = coalesce(json_extract(record, '$.expires_at'), expires_at);
    CREATE INDEX tasks_listed ON tasks (tenant, created_at, id);
    CREATE INDEX tasks_expiring ON tasks (expires_at);
";

/// Migrates the schema to the current version. A later version is an error, since this program could corrupt it.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), TransactionError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let Some(steps) = MIGRATIONS.get(found as usize..) else {
        let known = MIGRATIONS.len();
        return Err(TransactionError::Other(format!(
            "it has schema version {found}, but this program supports versions up to {known}"
        )));
    };
    for step in steps {
        transaction.execute_batch(step)?;
    }
    if !steps.is_empty() {
        transaction.pragma_update(None, "user_version", MIGRATIONS.len() as u32)?;
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_any_older_version_is_migrated_with_its_content() {
        for taken in 1..=MIGRATIONS.len() {
            let mut connection = Connection::open_in_memory().expect("a database");
            MIGRATIONS[..taken].iter().try_for_each(|step| connection.execute_batch(step)).expect("its tables");
            connection.pragma_update(None, "user_version", taken as u32).expect("its version");
            let insert = "INSERT INTO messages (queue, grp, body, visible_at) VALUES ('pages', 'acme', 'a', 1)";
            connection.execute(insert, []).expect("a message");
            for _ in 0..2 {
                migrate(&mut connection).expect("migrated");
            }
            let query = "SELECT body || coalesce(trace, '') FROM messages WHERE (SELECT count(*) FROM records) = 0";
            let body: String = connection.query_row(query, [], |row| row.get(0)).expect("every table is there");
            assert_eq!(body, "a");
        }
    }
}
