//! The database's tables, and how an older database becomes one of today.

use rusqlite::{Connection, TransactionBehavior};

use crate::fault::Fault;

/// Each step makes the next version out of the one before; `user_version` says how many have been taken. A step that
/// was released never changes.
const LADDER: [&str; 4] = [VERSION_1, VERSION_2, VERSION_3, VERSION_4];

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

/// A task from before there was an expiry never expires: the number is what its record reads as, too.
const VERSION_4: &str = "
    ALTER TABLE tasks ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
    ALTER TABLE tasks ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 253402300799000;
    UPDATE tasks SET
        tenant = json_extract(record, '$.tenant'),
        expires_at = coalesce(json_extract(record, '$.expires_at'), expires_at);
    CREATE INDEX tasks_listed ON tasks (tenant, created_at, id);
    CREATE INDEX tasks_expiring ON tasks (expires_at);
";

/// Brings the database to today's version. One from tomorrow is refused: this program would harm it.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let Some(steps) = LADDER.get(found as usize..) else {
        let known = LADDER.len();
        return Err(Fault::Other(format!("it is of version {found}, but this program knows up to {known} only")));
    };
    for step in steps {
        transaction.execute_batch(step)?;
    }
    if !steps.is_empty() {
        transaction.pragma_update(None, "user_version", LADDER.len() as u32)?;
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_any_older_version_becomes_one_of_today_with_what_is_in_it() {
        for taken in 1..=LADDER.len() {
            let mut connection = Connection::open_in_memory().expect("a database");
            LADDER[..taken].iter().try_for_each(|step| connection.execute_batch(step)).expect("its tables");
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
