//! SQL of the queues, inside a transaction.

use std::{collections::BTreeSet, time::Duration};

use quire_fair_share::Capacity;
use quire_platform::{OutgoingMessage, QueueDepth, QueueName, QueueSettings, Receipt, ReceivedMessage, now};
use quire_tasks::Task;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row, params};

use crate::{
    fair_queue::{add_to_round, next_messages, next_visible_in, remove_from_round_if_empty},
    fault::TransactionError,
    wakeup::{Changes, CommittedChange},
};

/// A message that was leased during this many interruptions of the whole system is dead-lettered: it may be their
/// cause.
const MAX_INTERRUPTIONS: i64 = 20;

/// The queue, settings and owner of a receive.
#[derive(Debug, Clone)]
pub(crate) struct ReceiveSettings {
    /// The queue.
    pub(crate) queue: QueueName,
    /// Its settings.
    pub(crate) settings: QueueSettings,
    /// The owner of the leases.
    pub(crate) holder: std::sync::Arc<str>,
}

/// The result of [`receive`].
#[derive(Debug, Default)]
pub(crate) struct ReceivedBatch {
    /// The leased messages.
    pub(crate) received: Vec<ReceivedMessage>,
    /// If there are none: the time until one becomes visible, if known.
    pub(crate) next_visible_in: Option<Duration>,
}

/// A parsed receipt: one lease of one message.
#[derive(Clone, Copy)]
struct LeaseId {
    id: i64,
    number: i64,
}

impl LeaseId {
    /// Parses a receipt. A malformed receipt is that of an ended lease.
    fn parse(receipt: &Receipt) -> Option<Self> {
        let (id, number) = receipt.0.split_once('-')?;
        Some(Self { id: id.parse().ok()?, number: number.parse().ok()? })
    }

    fn receipt(self) -> Receipt {
        Receipt(format!("{}-{}", self.id, self.number))
    }
}

/// The condition that a lease, `(id, number, now)`, is still valid.
macro_rules! while_leased {
    ($sql:literal) => {
        concat!($sql, " WHERE id = ?1 AND leases = ?2 AND visible_at > ?3 AND holder IS NOT NULL")
    };
}

/// Inserts messages.
pub(crate) fn send(
    connection: &Connection,
    changes: &mut Changes,
    queue: QueueName,
    messages: &[OutgoingMessage],
) -> Result<(), TransactionError> {
    let now = now().0;
    let mut insert = connection
        .prepare_cached("INSERT INTO messages (queue, grp, body, visible_at, trace) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for OutgoingMessage { body, group, delay, trace } in messages {
        insert.execute(params![queue.as_str(), group, body, now + millis(*delay), trace])?;
    }
    let groups: BTreeSet<&str> = messages.iter().map(|message| message.group.as_str()).collect();
    for group in groups {
        add_to_round(connection, queue, group)?;
    }
    changes.insert(CommittedChange::Queue(queue));
    Ok(())
}

/// Leases messages within the capacity, round-robin between groups.
pub(crate) fn receive(
    connection: &Connection,
    changes: &mut Changes,
    receive_settings: &ReceiveSettings,
    capacity: &Capacity,
) -> Result<ReceivedBatch, TransactionError> {
    let now = now().0;
    loop {
        let picked = next_messages(connection, receive_settings.queue, capacity, now)?;
        if picked.is_empty() {
            return Ok(ReceivedBatch {
                received: Vec::new(),
                next_visible_in: next_visible_in(connection, receive_settings.queue, capacity, now)?,
            });
        }
        let mut received = Vec::with_capacity(picked.len());
        for id in picked {
            match lease(connection, receive_settings, id, now)? {
                Some(message) => received.push(message),
                None => move_to_dead_letter_queue(connection, changes, receive_settings.queue, id, None)?,
            }
        }
        // If all of them moved to the dead-letter queue, look for more.
        if !received.is_empty() {
            return Ok(ReceivedBatch { received, next_visible_in: None });
        }
    }
}

/// Deletes leased messages.
pub(crate) fn acknowledge(
    connection: &Connection,
    queue: QueueName,
    receipts: &[Receipt],
) -> Result<(), TransactionError> {
    let now = now().0;
    let mut delete = connection.prepare_cached(concat!(while_leased!("DELETE FROM messages"), " RETURNING grp"))?;
    let mut groups = BTreeSet::new();
    for LeaseId { id, number } in receipts.iter().filter_map(LeaseId::parse) {
        groups.extend(query_optional::<String>(&mut delete, params![id, number, now])?);
    }
    groups.iter().try_for_each(|group| remove_from_round_if_empty(connection, queue, group))
}

/// Deletes a task's page messages, leased or not. Whoever holds one loses the lease. Trade-off: an index by task would
/// slow down every message, so that all page messages of the tenant are searched.
pub(crate) fn delete_page_messages(connection: &Connection, task: &Task) -> Result<(), TransactionError> {
    let mut delete =
        connection.prepare_cached("DELETE FROM messages WHERE queue = ?1 AND grp = ?2 AND instr(body, ?3) > 0")?;
    let group = task.tenant.to_string();
    for queue in [Some(QueueName::Pages), QueueName::Pages.dead_letter_queue()].into_iter().flatten() {
        if delete.execute(params![queue.as_str(), group, task.id.to_string()])? > 0 {
            remove_from_round_if_empty(connection, queue, &group)?;
        }
    }
    Ok(())
}

/// Restarts the visibility timeout of leases. Returns the receipts of leases that have ended.
pub(crate) fn extend(
    connection: &Connection,
    lease: Duration,
    receipts: Vec<Receipt>,
) -> Result<Vec<Receipt>, TransactionError> {
    let now = now().0;
    let mut update = connection.prepare_cached(while_leased!("UPDATE messages SET visible_at = ?4"))?;
    let mut lost = Vec::new();
    for receipt in receipts {
        let extended = match LeaseId::parse(&receipt) {
            Some(LeaseId { id, number }) => update.execute(params![id, number, now, now + millis(lease)])?,
            None => 0,
        };
        if extended == 0 {
            lost.push(receipt);
        }
    }
    Ok(lost)
}

/// Releases leased messages, visible after `delay`.
pub(crate) fn release(
    connection: &Connection,
    changes: &mut Changes,
    queue: QueueName,
    receipts: &[Receipt],
    delay: Duration,
) -> Result<(), TransactionError> {
    let now = now().0;
    let mut update = connection.prepare_cached(while_leased!("UPDATE messages SET holder = NULL, visible_at = ?4"))?;
    let mut released = 0;
    for LeaseId { id, number } in receipts.iter().filter_map(LeaseId::parse) {
        released += update.execute(params![id, number, now, now + millis(delay)])?;
    }
    if released > 0 {
        changes.insert(CommittedChange::Queue(queue));
    }
    Ok(())
}

/// Resets a leased message's receive count, visible after `delay`. Its interruptions still count.
pub(crate) fn requeue(
    connection: &Connection,
    changes: &mut Changes,
    queue: QueueName,
    receipt: &Receipt,
    delay: Duration,
) -> Result<(), TransactionError> {
    let Some(LeaseId { id, number }) = LeaseId::parse(receipt) else { return Ok(()) };
    let now = now().0;
    let mut update =
        connection.prepare_cached(while_leased!("UPDATE messages SET holder = NULL, receives = 0, visible_at = ?4"))?;
    if update.execute(params![id, number, now, now + millis(delay)])? > 0 {
        changes.insert(CommittedChange::Queue(queue));
    }
    Ok(())
}

/// Moves a leased message to the dead-letter queue.
pub(crate) fn dead_letter(
    connection: &Connection,
    changes: &mut Changes,
    queue: QueueName,
    receipt: &Receipt,
    reason: &str,
) -> Result<(), TransactionError> {
    let Some(LeaseId { id, number }) = LeaseId::parse(receipt) else { return Ok(()) };
    let mut held = connection.prepare_cached(while_leased!("SELECT id FROM messages"))?;
    match query_optional::<i64>(&mut held, params![id, number, now().0])? {
        Some(id) => move_to_dead_letter_queue(connection, changes, queue, id, Some(reason)),
        None => Ok(()),
    }
}

/// Counts a queue's messages.
pub(crate) fn depth(connection: &Connection, queue: QueueName) -> Result<QueueDepth, TransactionError> {
    let now = now().0;
    let count = |sql: &str| -> Result<u64, TransactionError> {
        let count: i64 = connection.prepare_cached(sql)?.query_row(params![queue.as_str(), now], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    };
    let ready = count("SELECT count(*) FROM messages WHERE queue = ?1 AND visible_at <= ?2")?;
    let hidden = count("SELECT count(*) FROM messages WHERE queue = ?1 AND visible_at > ?2")?;
    let in_flight = count("SELECT count(*) FROM messages WHERE holder IS NOT NULL AND queue = ?1 AND visible_at > ?2")?;
    Ok(QueueDepth { ready, in_flight, delayed: hidden.saturating_sub(in_flight) })
}

/// How long a message of a dead owner rests per receive, if other groups have messages: it may be what kills owners,
/// and the others must not wait for one restart after the other. Never longer than its lease would have been.
const REST_AFTER_DEATH: Duration = Duration::from_secs(5);

/// Releases the leases of a dead owner.
pub(crate) fn release_leases_of_dead_owner(
    connection: &Connection,
    changes: &mut Changes,
    holder: &str,
) -> Result<(), TransactionError> {
    let mut update = connection.prepare_cached(
        "UPDATE messages SET holder = NULL, visible_at = min(visible_at, ?2 + ?3 * receives * EXISTS
             (SELECT 1 FROM turns WHERE turns.queue = messages.queue AND turns.grp <> messages.grp))
         WHERE holder = ?1 RETURNING queue",
    )?;
    let values = params![holder, now().0, millis(REST_AFTER_DEATH)];
    for queue in update.query_map(values, |row| row.get::<_, String>(0))? {
        changes.extend(find_queue(&queue?).map(CommittedChange::Queue));
    }
    Ok(())
}

/// Expires all leases without counting their receives, and moves messages that were interrupted too often to the
/// dead-letter queue.
pub(crate) fn expire_leases(connection: &Connection, changes: &mut Changes) -> Result<(), TransactionError> {
    let mut update = connection.prepare_cached(
        "UPDATE messages SET holder = NULL, visible_at = min(visible_at, ?1), receives = max(receives - 1, 0),
         interruptions = interruptions + 1 WHERE holder IS NOT NULL RETURNING id, queue, interruptions",
    )?;
    let row = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?));
    let interrupted = update.query_map([now().0], row)?.collect::<rusqlite::Result<Vec<_>>>()?;
    for (id, queue, interruptions) in interrupted {
        let Some(queue) = find_queue(&queue) else { continue };
        changes.insert(CommittedChange::Queue(queue));
        if interruptions >= MAX_INTERRUPTIONS && queue.dead_letter_queue().is_some() {
            let reason =
                format!("the whole system was interrupted {interruptions} times while this message was leased");
            move_to_dead_letter_queue(connection, changes, queue, id, Some(&reason))?;
        }
    }
    Ok(())
}

/// Leases a visible message, unless its receive count is at the maximum.
fn lease(
    connection: &Connection,
    receive_settings: &ReceiveSettings,
    id: i64,
    now: i64,
) -> Result<Option<ReceivedMessage>, TransactionError> {
    let mut update = connection.prepare_cached(
        "UPDATE messages SET receives = receives + 1, leases = leases + 1, holder = ?2, visible_at = ?3
         WHERE id = ?1 AND receives < ?4 RETURNING body, grp, receives, reason, leases, trace",
    )?;
    let received = |row: &Row<'_>| {
        let receipt = LeaseId { id, number: row.get(4)? }.receipt();
        let body = row.get(0)?;
        let group = row.get(1)?;
        let attempt = row.get(2)?;
        let reason = row.get(3)?;
        let trace = row.get(5)?;
        Ok(ReceivedMessage { body, group, attempt, reason, trace, receipt })
    };
    let QueueSettings { lease, max_receives } = receive_settings.settings;
    let values = params![id, &*receive_settings.holder, now + millis(lease), max_receives];
    Ok(update.query_map(values, received)?.next().transpose()?)
}

/// Moves a message to the dead-letter queue.
fn move_to_dead_letter_queue(
    connection: &Connection,
    changes: &mut Changes,
    from: QueueName,
    id: i64,
    reason: Option<&str>,
) -> Result<(), TransactionError> {
    let Some(to) = from.dead_letter_queue() else {
        return Err(TransactionError::Other(format!("{} has no dead-letter queue", from.as_str())));
    };
    let mut update = connection.prepare_cached(
        "UPDATE messages SET queue = ?2, holder = NULL, visible_at = ?3, reason = ?4 WHERE id = ?1 RETURNING grp",
    )?;
    let group: Option<String> = query_optional(&mut update, params![id, to.as_str(), now().0, reason])?;
    if let Some(group) = group {
        add_to_round(connection, to, &group)?;
        remove_from_round_if_empty(connection, from, &group)?;
        changes.insert(CommittedChange::Queue(to));
    }
    Ok(())
}

fn find_queue(name: &str) -> Option<QueueName> {
    QueueName::ALL.into_iter().find(|queue| queue.as_str() == name)
}

fn millis(duration: Duration) -> i64 {
    duration.as_millis() as i64
}

/// Returns the first column of the only row, if it exists.
fn query_optional<T: rusqlite::types::FromSql>(
    statement: &mut CachedStatement<'_>,
    params: impl Params,
) -> rusqlite::Result<Option<T>> {
    statement.query_row(params, |row| row.get(0)).optional()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_receipt_is_not_a_lease() {
        for wrong in ["", "-", "1", "1-", "a-b", "1-2-3"] {
            assert!(LeaseId::parse(&Receipt(wrong.to_owned())).is_none(), "{wrong}");
        }
    }
}
