//! Fair queuing: round-robin between the message groups of a queue.

use std::time::Duration;

use quire_fair_share::Capacity;
use quire_platform::QueueName;
use rusqlite::{CachedStatement, Connection, Params, params, types::FromSql};

use crate::fault::TransactionError;

/// Returns the ids of the next messages, round-robin between the groups with visible messages, and of each group at
/// most what it can take.
pub(crate) fn next_messages(
    connection: &Connection,
    queue: QueueName,
    capacity: &Capacity,
    now: i64,
) -> Result<Vec<i64>, TransactionError> {
    let max = capacity.max;
    let mut waiting = connection.prepare_cached(
        "SELECT grp FROM turns WHERE queue = ?1 AND EXISTS
             (SELECT 1 FROM messages WHERE queue = ?1 AND grp = turns.grp AND visible_at <= ?2)
         ORDER BY served LIMIT ?3",
    )?;
    let mut visible = connection.prepare_cached(
        "SELECT id FROM messages WHERE queue = ?1 AND grp = ?2 AND visible_at <= ?3 ORDER BY visible_at, id LIMIT ?4",
    )?;
    // The groups without capacity may all be among the first.
    let max_groups = max + capacity.by_tenant.len();
    let names = first_column::<String>(&mut waiting, params![queue.as_str(), now, max_groups as i64])?;
    let mut groups = Vec::with_capacity(names.len());
    for group in names {
        let most = capacity.of(&group);
        if most > 0 {
            let ids = first_column::<i64>(&mut visible, params![queue.as_str(), group, now, most as i64])?;
            groups.push((group, ids));
        }
    }
    let (picked, served) = round_robin(&groups, max);
    let mut serve = connection.prepare_cached(
        "UPDATE turns SET served = (SELECT max(served) FROM turns WHERE queue = ?1) + 1 WHERE queue = ?1 AND grp = ?2",
    )?;
    for group in served {
        serve.execute([queue.as_str(), group])?;
    }
    Ok(picked)
}

/// Returns up to `max` ids, round-robin between the groups, and the groups' names in the order of their last turn.
fn round_robin(groups: &[(String, Vec<i64>)], max: usize) -> (Vec<i64>, Vec<&str>) {
    let longest = groups.iter().map(|(_, ids)| ids.len()).max().unwrap_or(0);
    let turns = (0..longest).flat_map(|round| groups.iter().map(move |line| (line, round)));
    let picked: Vec<(&str, i64)> =
        turns.filter_map(|((group, ids), round)| ids.get(round).map(|id| (group.as_str(), *id))).take(max).collect();
    let mut served: Vec<&str> = Vec::with_capacity(groups.len());
    for (group, _) in picked.iter().rev() {
        if !served.contains(group) {
            served.push(group);
        }
    }
    served.reverse();
    (picked.into_iter().map(|(_, id)| id).collect(), served)
}

/// Appends a group to the round, after all others, so that sending one message at a time gives no priority.
pub(crate) fn add_to_round(connection: &Connection, queue: QueueName, group: &str) -> Result<(), TransactionError> {
    let sql = "INSERT INTO turns (queue, grp, served)
               VALUES (?1, ?2, (SELECT coalesce(max(served), 0) FROM turns WHERE queue = ?1) + 1)
               ON CONFLICT DO NOTHING";
    connection.prepare_cached(sql)?.execute([queue.as_str(), group])?;
    Ok(())
}

/// Removes a group without messages from the round, so that the table stays small.
pub(crate) fn remove_from_round_if_empty(
    connection: &Connection,
    queue: QueueName,
    group: &str,
) -> Result<(), TransactionError> {
    let sql = "DELETE FROM turns WHERE queue = ?1 AND grp = ?2
               AND NOT EXISTS (SELECT 1 FROM messages WHERE queue = ?1 AND grp = ?2)";
    connection.prepare_cached(sql)?.execute([queue.as_str(), group])?;
    Ok(())
}

/// Returns the time until the next message becomes visible, of the groups that can take one.
pub(crate) fn next_visible_in(
    connection: &Connection,
    queue: QueueName,
    capacity: &Capacity,
    now: i64,
) -> Result<Option<Duration>, TransactionError> {
    // The inner query uses the index, however many messages a group has.
    let mut select = connection.prepare_cached(
        "SELECT grp, (SELECT min(visible_at) FROM messages WHERE queue = ?1 AND grp = turns.grp)
         FROM turns WHERE queue = ?1",
    )?;
    let mut next: Option<i64> = None;
    for row in
        select.query_map([queue.as_str()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?)))?
    {
        let (group, visible_at) = row?;
        let visible_at = visible_at.filter(|_| capacity.of(&group) > 0);
        next = visible_at.into_iter().chain(next).min();
    }
    Ok(next.map(|at| Duration::from_millis((at - now).max(1).unsigned_abs())))
}

/// Returns the first column of all rows.
fn first_column<T: FromSql>(statement: &mut CachedStatement<'_>, params: impl Params) -> rusqlite::Result<Vec<T>> {
    statement.query_map(params, |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_served_round_robin() {
        let groups = [("a".to_owned(), vec![1, 2, 3]), ("b".to_owned(), vec![10]), ("c".to_owned(), vec![20, 21])];
        assert_eq!(round_robin(&groups, 10).0, [1, 10, 20, 2, 21, 3]);
        assert_eq!(round_robin(&groups, 4), (vec![1, 10, 20, 2], vec!["b", "c", "a"]));
        assert_eq!(round_robin(&[], 4), (vec![], vec![]));
    }
}
