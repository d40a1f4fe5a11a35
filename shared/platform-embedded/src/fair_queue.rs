//! Fair turns: which group of a queue is served next.

use std::time::Duration;

use quire_platform::QueueName;
use rusqlite::{CachedStatement, Connection, Params, params, types::FromSql};

use crate::fault::Fault;

/// The messages to be received next, in turns between the groups that have visible ones.
pub(crate) fn pick(connection: &Connection, queue: QueueName, max: usize, now: i64) -> Result<Vec<i64>, Fault> {
    let mut waiting = connection.prepare_cached(
        "SELECT grp FROM turns WHERE queue = ?1 AND EXISTS
             (SELECT 1 FROM messages WHERE queue = ?1 AND grp = turns.grp AND visible_at <= ?2)
         ORDER BY served LIMIT ?3",
    )?;
    let mut visible = connection.prepare_cached(
        "SELECT id FROM messages WHERE queue = ?1 AND grp = ?2 AND visible_at <= ?3 ORDER BY visible_at, id LIMIT ?4",
    )?;
    let groups = many::<String>(&mut waiting, params![queue.as_str(), now, max as i64])?;
    let mut lines = Vec::with_capacity(groups.len());
    for group in groups {
        let ids = many::<i64>(&mut visible, params![queue.as_str(), group, now, max as i64])?;
        lines.push((group, ids));
    }
    let (picked, served) = in_turns(&lines, max);
    let mut serve = connection.prepare_cached(
        "UPDATE turns SET served = (SELECT max(served) FROM turns WHERE queue = ?1) + 1 WHERE queue = ?1 AND grp = ?2",
    )?;
    for group in served {
        serve.execute([queue.as_str(), group])?;
    }
    Ok(picked)
}

/// Up to `max` of the ids, one of each line at a time; and the lines' names, by when each was served last.
fn in_turns(lines: &[(String, Vec<i64>)], max: usize) -> (Vec<i64>, Vec<&str>) {
    let longest = lines.iter().map(|(_, ids)| ids.len()).max().unwrap_or(0);
    let turns = (0..longest).flat_map(|round| lines.iter().map(move |line| (line, round)));
    let picked: Vec<(&str, i64)> =
        turns.filter_map(|((group, ids), round)| ids.get(round).map(|id| (group.as_str(), *id))).take(max).collect();
    let mut served: Vec<&str> = Vec::with_capacity(lines.len());
    for (group, _) in picked.iter().rev() {
        if !served.contains(group) {
            served.push(group);
        }
    }
    served.reverse();
    (picked.into_iter().map(|(_, id)| id).collect(), served)
}

/// Gives a group its place in the round: behind all others, so that one message at a time is no way to the front.
pub(crate) fn line_up(connection: &Connection, queue: QueueName, group: &str) -> Result<(), Fault> {
    let sql = "INSERT INTO turns (queue, grp, served)
               VALUES (?1, ?2, (SELECT coalesce(max(served), 0) FROM turns WHERE queue = ?1) + 1)
               ON CONFLICT DO NOTHING";
    connection.prepare_cached(sql)?.execute([queue.as_str(), group])?;
    Ok(())
}

/// Takes a group without messages out of the round, so that rounds stay as short as there are groups at work.
pub(crate) fn leave_line(connection: &Connection, queue: QueueName, group: &str) -> Result<(), Fault> {
    let sql = "DELETE FROM turns WHERE queue = ?1 AND grp = ?2
               AND NOT EXISTS (SELECT 1 FROM messages WHERE queue = ?1 AND grp = ?2)";
    connection.prepare_cached(sql)?.execute([queue.as_str(), group])?;
    Ok(())
}

/// How long until the next message becomes visible.
pub(crate) fn next_in(connection: &Connection, queue: QueueName, now: i64) -> Result<Option<Duration>, Fault> {
    // By group, and so by the index, however many messages each has.
    let sql = "SELECT min((SELECT min(visible_at) FROM messages WHERE queue = ?1 AND grp = turns.grp))
               FROM turns WHERE queue = ?1";
    let next: Option<i64> = connection.prepare_cached(sql)?.query_row([queue.as_str()], |row| row.get(0))?;
    Ok(next.map(|at| Duration::from_millis((at - now).max(1).unsigned_abs())))
}

/// The first column of all rows.
fn many<T: FromSql>(statement: &mut CachedStatement<'_>, params: impl Params) -> rusqlite::Result<Vec<T>> {
    statement.query_map(params, |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_served_in_turns() {
        let lines = [("a".to_owned(), vec![1, 2, 3]), ("b".to_owned(), vec![10]), ("c".to_owned(), vec![20, 21])];
        assert_eq!(in_turns(&lines, 10).0, [1, 10, 20, 2, 21, 3]);
        assert_eq!(in_turns(&lines, 4), (vec![1, 10, 20, 2], vec!["b", "c", "a"]));
        assert_eq!(in_turns(&[], 4), (vec![], vec![]));
    }
}
