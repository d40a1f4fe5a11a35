//! What the queues do with their rows, inside of a transaction.

use std::{collections::BTreeSet, time::Duration};

use quire_platform::{OutgoingMessage, QueueDepth, QueueName, QueueSettings, Receipt, ReceivedMessage, now};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row, params};

use crate::{
    fair_queue::{leave_line, line_up, next_in, pick},
    fault::Fault,
    wakeup::{Change, Changes},
};

/// So many times may the whole system be interrupted while a message is leased, before the message is suspected.
const MAX_INTERRUPTIONS: i64 = 20;

/// Who receives what on which terms.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// The queue.
    pub(crate) queue: QueueName,
    /// Its settings.
    pub(crate) settings: QueueSettings,
    /// Who takes the leases.
    pub(crate) holder: std::sync::Arc<str>,
}

/// What a receive found.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// The leased messages.
    pub(crate) received: Vec<ReceivedMessage>,
    /// Where there were none: how long until one becomes visible, as far as is known.
    pub(crate) next_in: Option<Duration>,
}

/// A receipt, taken apart: one lease of one message.
#[derive(Clone, Copy)]
struct Lease {
    id: i64,
    number: i64,
}

impl Lease {
    /// A receipt that is none of ours names a lease that has ended.
    fn of(receipt: &Receipt) -> Option<Self> {
        let (id, number) = receipt.0.split_once('-')?;
        Some(Self { id: id.parse().ok()?, number: number.parse().ok()? })
    }

    fn receipt(self) -> Receipt {
        Receipt(format!("{}-{}", self.id, self.number))
    }
}

/// The condition under which a lease, `(id, number, now)`, still holds.
macro_rules! while_held {
    ($sql:literal) => {
        concat!($sql, " WHERE id = ?1 AND leases = ?2 AND visible_at > ?3 AND holder IS NOT NULL")
    };
}

/// Adds messages.
pub(crate) fn send(
    connection: &Connection,
    changes: &mut Changes,
    queue: QueueName,
    messages: &[OutgoingMessage],
) -> Result<(), Fault> {
    let now = now().0;
    let mut insert = connection
        .prepare_cached("INSERT INTO messages (queue, grp, body, visible_at, trace) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for OutgoingMessage { body, group, delay, trace } in messages {
        insert.execute(params![queue.as_str(), group, body, now + millis(*delay), trace])?;
    }
    let groups: BTreeSet<&str> = messages.iter().map(|message| message.group.as_str()).collect();
    for group in groups {
        line_up(connection, queue, group)?;
    }
    changes.insert(Change::Queue(queue));
    Ok(())
}

/// Leases up to `max` messages, one of each group in turn.
pub(crate) fn take(connection: &Connection, changes: &mut Changes, terms: &Terms, max: usize) -> Result<Taken, Fault> {
    let now = now().0;
    loop {
        let picked = pick(connection, terms.queue, max, now)?;
        if picked.is_empty() {
            return Ok(Taken { received: Vec::new(), next_in: next_in(connection, terms.queue, now)? });
        }
        let mut received = Vec::with_capacity(picked.len());
        for id in picked {
            match lease(connection, terms, id, now)? {
                Some(message) => received.push(message),
                None => move_to_dead_letter_queue(connection, changes, terms.queue, id, None)?,
            }
        }
        // Where all of them went to the dead-letter queue, there may be others behind them.
        if !received.is_empty() {
            return Ok(Taken { received, next_in: None });
        }
    }
}

/// Deletes what is leased.
pub(crate) fn acknowledge(connection: &Connection, queue: QueueName, receipts: &[Receipt]) -> Result<(), Fault> {
    let now = now().0;
    let mut delete = connection.prepare_cached(concat!(while_held!("DELETE FROM messages"), " RETURNING grp"))?;
    let mut groups = BTreeSet::new();
    for Lease { id, number } in receipts.iter().filter_map(Lease::of) {
        groups.extend(one::<String>(&mut delete, params![id, number, now])?);
    }
    groups.iter().try_for_each(|group| leave_line(connection, queue, group))
}

/// Starts leases anew; returns those that have ended.
pub(crate) fn extend(connection: &Connection, lease: Duration, receipts: Vec<Receipt>) -> Result<Vec<Receipt>, Fault> {
    let now = now().0;
    let mut update = connection.prepare_cached(while_held!("UPDATE messages SET visible_at = ?4"))?;
    let mut lost = Vec::new();
    for receipt in receipts {
        let extended = match Lease::of(&receipt) {
            Some(Lease { id, number }) => update.execute(params![id, number, now, now + millis(lease)])?,
            None => 0,
        };
        if extended == 0 {
            lost.push(receipt);
        }
    }
    Ok(lost)
}

/// Gives leased messages back, visible after `delay`.
pub(crate) fn release(
    connection: &Connection,
    changes: &mut Changes,
    queue: QueueName,
    receipts: &[Receipt],
    delay: Duration,
) -> Result<(), Fault> {
    let now = now().0;
    let mut update = connection.prepare_cached(while_held!("UPDATE messages SET holder = NULL, visible_at = ?4"))?;
    let mut released = 0;
    for Lease { id, number } in receipts.iter().filter_map(Lease::of) {
        released += update.execute(params![id, number, now, now + millis(delay)])?;
    }
    if released > 0 {
        changes.insert(Change::Queue(queue));
    }
    Ok(())
}

/// Makes a leased message one that nobody has received yet, visible after `delay`. What it was interrupted by still
/// counts: that is no attempt.
pub(crate) fn requeue(
    connection: &Connection,
    changes: &mut Changes,
    queue: QueueName,
    receipt: &Receipt,
    delay: Duration,
) -> Result<(), Fault> {
    let Some(Lease { id, number }) = Lease::of(receipt) else { return Ok(()) };
    let now = now().0;
    let mut update =
        connection.prepare_cached(while_held!("UPDATE messages SET holder = NULL, receives = 0, visible_at = ?4"))?;
    if update.execute(params![id, number, now, now + millis(delay)])? > 0 {
        changes.insert(Change::Queue(queue));
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
) -> Result<(), Fault> {
    let Some(Lease { id, number }) = Lease::of(receipt) else { return Ok(()) };
    let mut held = connection.prepare_cached(while_held!("SELECT id FROM messages"))?;
    match one::<i64>(&mut held, params![id, number, now().0])? {
        Some(id) => move_to_dead_letter_queue(connection, changes, queue, id, Some(reason)),
        None => Ok(()),
    }
}

/// Counts a queue's messages.
pub(crate) fn depth(connection: &Connection, queue: QueueName) -> Result<QueueDepth, Fault> {
    let now = now().0;
    let count = |sql: &str| -> Result<u64, Fault> {
        let count: i64 = connection.prepare_cached(sql)?.query_row(params![queue.as_str(), now], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    };
    let ready = count("SELECT count(*) FROM messages WHERE queue = ?1 AND visible_at <= ?2")?;
    let hidden = count("SELECT count(*) FROM messages WHERE queue = ?1 AND visible_at > ?2")?;
    let in_flight = count("SELECT count(*) FROM messages WHERE holder IS NOT NULL AND queue = ?1 AND visible_at > ?2")?;
    Ok(QueueDepth { ready, in_flight, delayed: hidden.saturating_sub(in_flight) })
}

/// Ends the leases of a holder that died.
pub(crate) fn release_leases_of_dead_owner(
    connection: &Connection,
    changes: &mut Changes,
    holder: &str,
) -> Result<(), Fault> {
    let mut update = connection.prepare_cached(
        "UPDATE messages SET holder = NULL, visible_at = min(visible_at, ?2) WHERE holder = ?1 RETURNING queue",
    )?;
    for queue in update.query_map(params![holder, now().0], |row| row.get::<_, String>(0))? {
        changes.extend(named(&queue?).map(Change::Queue));
    }
    Ok(())
}

/// Ends all leases, as if they had never been taken, and buries what was interrupted too often.
pub(crate) fn expire_leases(connection: &Connection, changes: &mut Changes) -> Result<(), Fault> {
    let mut update = connection.prepare_cached(
        "UPDATE messages SET holder = NULL, visible_at = min(visible_at, ?1), receives = max(receives - 1, 0),
         interruptions = interruptions + 1 WHERE holder IS NOT NULL RETURNING id, queue, interruptions",
    )?;
    let row = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?));
    let interrupted = update.query_map([now().0], row)?.collect::<rusqlite::Result<Vec<_>>>()?;
    for (id, queue, interruptions) in interrupted {
        let Some(queue) = named(&queue) else { continue };
        changes.insert(Change::Queue(queue));
        if interruptions >= MAX_INTERRUPTIONS && queue.dead_letter_queue().is_some() {
            let reason = format!("the whole system was interrupted {interruptions} times while this was in work");
            move_to_dead_letter_queue(connection, changes, queue, id, Some(&reason))?;
        }
    }
    Ok(())
}

/// Leases a visible message, unless it has been received too often.
fn lease(connection: &Connection, terms: &Terms, id: i64, now: i64) -> Result<Option<ReceivedMessage>, Fault> {
    let mut update = connection.prepare_cached(
        "UPDATE messages SET receives = receives + 1, leases = leases + 1, holder = ?2, visible_at = ?3
         WHERE id = ?1 AND receives < ?4 RETURNING body, grp, receives, reason, leases, trace",
    )?;
    let received = |row: &Row<'_>| {
        let receipt = Lease { id, number: row.get(4)? }.receipt();
        let (body, group, attempt, reason, trace) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(5)?);
        Ok(ReceivedMessage { body, group, attempt, reason, trace, receipt })
    };
    let QueueSettings { lease, max_receives } = terms.settings;
    let values = params![id, &*terms.holder, now + millis(lease), max_receives];
    Ok(update.query_map(values, received)?.next().transpose()?)
}

/// Moves a message to the dead-letter queue.
fn move_to_dead_letter_queue(
    connection: &Connection,
    changes: &mut Changes,
    from: QueueName,
    id: i64,
    reason: Option<&str>,
) -> Result<(), Fault> {
    let Some(to) = from.dead_letter_queue() else {
        return Err(Fault::Other(format!("{} has no dead-letter queue", from.as_str())));
    };
    let mut update = connection.prepare_cached(
        "UPDATE messages SET queue = ?2, holder = NULL, visible_at = ?3, reason = ?4 WHERE id = ?1 RETURNING grp",
    )?;
    let group: Option<String> = one(&mut update, params![id, to.as_str(), now().0, reason])?;
    if let Some(group) = group {
        line_up(connection, to, &group)?;
        leave_line(connection, from, &group)?;
        changes.insert(Change::Queue(to));
    }
    Ok(())
}

fn named(name: &str) -> Option<QueueName> {
    QueueName::ALL.into_iter().find(|queue| queue.as_str() == name)
}

fn millis(duration: Duration) -> i64 {
    duration.as_millis() as i64
}

/// The first column of the only row, if there is one.
fn one<T: rusqlite::types::FromSql>(
    statement: &mut CachedStatement<'_>,
    params: impl Params,
) -> rusqlite::Result<Option<T>> {
    statement.query_row(params, |row| row.get(0)).optional()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_of_another_kind_names_no_lease() {
        for wrong in ["", "-", "1", "1-", "a-b", "1-2-3"] {
            assert!(Lease::of(&Receipt(wrong.to_owned())).is_none(), "{wrong}");
        }
    }
}
