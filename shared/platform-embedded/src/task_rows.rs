//! SQL of the task table, inside a transaction.

use std::collections::BTreeSet;

use quire_platform::{Completion, Reopen, TaskCursor, now};
use quire_tasks::{
    CallbackUpdate, DocumentState, Mode, Outcome, Page, PageRef, PageStatus, Task, TaskId, Tenant, UnixMillis,
    transitions::{self, DocumentFinish},
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    fault::TransactionError,
    messages,
    wakeup::{Changes, CommittedChange},
};

/// Pages in memory at a time.
const PAGE_BATCH: usize = 1_000;

/// Inserts a task and its pages unless it exists.
pub(crate) fn create(
    connection: &Connection,
    changes: &mut Changes,
    mut task: Task,
) -> Result<Completion, TransactionError> {
    if let Some(there) = find(connection, task.id)? {
        return Ok(Completion::Unchanged(there));
    }
    transitions::accept(&mut task, now());
    connection
        .prepare_cached(
            "INSERT INTO tasks (id, created_at, version, dispatched, record, tenant, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            task.id.to_string(),
            task.created_at.0,
            task.version as i64,
            task.dispatched,
            serde_json::to_string(&task)?,
            task.tenant.to_string(),
            task.expires_at.0,
        ])?;
    queue_pages(connection, task.pages(), task.round)?;
    changes.insert(CommittedChange::Task(task.id));
    Ok(Completion::Applied(task))
}

/// Returns a task, which must exist.
pub(crate) fn task(connection: &Connection, id: TaskId) -> Result<Task, TransactionError> {
    find(connection, id)?.ok_or_else(|| TransactionError::not_found(&id))
}

/// Returns a task's version.
pub(crate) fn version(connection: &Connection, id: TaskId) -> Result<u64, TransactionError> {
    let version: Option<i64> = connection
        .prepare_cached("SELECT version FROM tasks WHERE id = ?1")?
        .query_row([id.to_string()], |row| row.get(0))
        .optional()?;
    version.map(i64::unsigned_abs).ok_or_else(|| TransactionError::not_found(&id))
}

/// Marks a task's messages as sent.
pub(crate) fn mark_dispatched(
    connection: &Connection,
    changes: &mut Changes,
    id: TaskId,
) -> Result<(), TransactionError> {
    let mut task = task(connection, id)?;
    if !task.dispatched {
        task.dispatched = true;
        update(connection, changes, task)?;
    }
    Ok(())
}

/// Returns tasks whose messages may not have been sent.
pub(crate) fn undispatched(
    connection: &Connection,
    before: UnixMillis,
    limit: usize,
) -> Result<Vec<Task>, TransactionError> {
    let mut select = connection.prepare_cached(
        "SELECT record FROM tasks WHERE dispatched = 0 AND created_at < ?1 ORDER BY created_at LIMIT ?2",
    )?;
    let records = select.query_map(params![before.0, sql_limit(limit)], |row| row.get::<_, String>(0))?;
    records.map(|record| Ok(serde_json::from_str(&record?)?)).collect()
}

/// Returns a tenant's tasks, newest first.
pub(crate) fn list(
    connection: &Connection,
    tenant: &Tenant,
    since: Option<UnixMillis>,
    after: Option<TaskCursor>,
    limit: usize,
) -> Result<Vec<Task>, TransactionError> {
    let mut select = connection.prepare_cached(
        "SELECT record FROM tasks WHERE tenant = ?1 AND created_at >= ?2 AND (created_at, id) < (?3, ?4)
         ORDER BY created_at DESC, id DESC LIMIT ?5",
    )?;
    let since = since.map_or(i64::MIN, |since| since.0);
    let (at, id) = after.map_or((i64::MAX, String::new()), |after| (after.created_at.0, after.id.to_string()));
    let values = params![tenant.to_string(), since, at, id, sql_limit(limit)];
    let records = select.query_map(values, |row| row.get::<_, String>(0))?;
    records.map(|record| Ok(serde_json::from_str(&record?)?)).collect()
}

/// Returns expired tasks, in the order of their expiry.
pub(crate) fn expired(connection: &Connection, by: UnixMillis, limit: usize) -> Result<Vec<Task>, TransactionError> {
    let mut select = connection
        .prepare_cached("SELECT record FROM tasks WHERE expires_at <= ?1 ORDER BY expires_at, id LIMIT ?2")?;
    let records = select.query_map(params![by.0, sql_limit(limit)], |row| row.get::<_, String>(0))?;
    records.map(|record| Ok(serde_json::from_str(&record?)?)).collect()
}

fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Returns a task's pages, in order.
pub(crate) fn pages(connection: &Connection, id: TaskId) -> Result<Vec<Page>, TransactionError> {
    let mut select = connection.prepare_cached("SELECT record FROM pages WHERE task = ?1 ORDER BY document, page")?;
    let records = select.query_map([id.to_string()], |row| row.get::<_, String>(0))?;
    records.map(|record| Ok(serde_json::from_str(&record?)?)).collect()
}

/// Returns a task's pages after a position, in order.
pub(crate) fn pages_after(
    connection: &Connection,
    id: TaskId,
    after: Option<PageRef>,
    limit: usize,
) -> Result<Vec<Page>, TransactionError> {
    let (document, page) = after.map_or((0, 0), |after| (after.document, after.page));
    let mut select = connection.prepare_cached(
        "SELECT record FROM pages WHERE task = ?1 AND (document, page) > (?2, ?3) ORDER BY document, page LIMIT ?4",
    )?;
    let values = params![id.to_string(), document, page, sql_limit(limit)];
    let records = select.query_map(values, |row| row.get::<_, String>(0))?;
    records.map(|record| Ok(serde_json::from_str(&record?)?)).collect()
}

/// Returns up to `limit` of a task's pages after this one, in order, and the task's round; 0 if it does not exist.
pub(crate) fn pages_chunk(
    connection: &Connection,
    id: TaskId,
    after: Option<PageRef>,
    limit: usize,
) -> Result<(u32, Vec<Page>), TransactionError> {
    let round: Option<u32> = connection
        .prepare_cached("SELECT json_extract(record, '$.round') FROM tasks WHERE id = ?1")?
        .query_row([id.to_string()], |row| row.get(0))
        .optional()?;
    Ok((round.unwrap_or_default(), pages_after(connection, id, after, limit)?))
}

/// Returns a page, which must exist.
pub(crate) fn page(connection: &Connection, page: PageRef) -> Result<Page, TransactionError> {
    let record: Option<String> = connection
        .prepare_cached("SELECT record FROM pages WHERE task = ?1 AND document = ?2 AND page = ?3")?
        .query_row(params![page.task_id.to_string(), page.document, page.page], |row| row.get(0))
        .optional()?;
    Ok(serde_json::from_str(&record.ok_or_else(|| TransactionError::not_found(&page))?)?)
}

/// Ends a pending document.
pub(crate) fn finish_document(
    connection: &Connection,
    changes: &mut Changes,
    id: TaskId,
    number: u32,
    state: DocumentState,
) -> Result<Completion, TransactionError> {
    let mut task = task(connection, id)?;
    let pages = match transitions::finish_document(&mut task, number, state) {
        DocumentFinish::NotFound => return Err(TransactionError::not_found(&format!("{id}/{number}"))),
        DocumentFinish::Unchanged => return Ok(Completion::Unchanged(task)),
        DocumentFinish::Finished(pages) => pages,
    };
    queue_pages(connection, pages, task.round)?;
    update(connection, changes, task).map(Completion::Applied)
}

/// Completes a queued page.
pub(crate) fn complete_page(
    connection: &Connection,
    changes: &mut Changes,
    of: PageRef,
    round: u32,
    outcome: Outcome,
) -> Result<Completion, TransactionError> {
    let mut page = page(connection, of)?;
    let mut task = task(connection, of.task_id)?;
    if !transitions::complete_page(&mut task, &mut page, round, outcome, now()) {
        return Ok(Completion::Unchanged(task));
    }
    put_page(connection, &page)?;
    update(connection, changes, task).map(Completion::Applied)
}

/// Applies an update to the callback.
pub(crate) fn update_callback(
    connection: &Connection,
    changes: &mut Changes,
    id: TaskId,
    round: u32,
    with: &CallbackUpdate,
) -> Result<Completion, TransactionError> {
    let mut task = task(connection, id)?;
    if !transitions::update_callback(&mut task, round, with) {
        return Ok(Completion::Unchanged(task));
    }
    update(connection, changes, task).map(Completion::Applied)
}

/// Reopens pages of an ended task.
pub(crate) fn reopen(
    connection: &Connection,
    changes: &mut Changes,
    id: TaskId,
    scope: Reopen,
) -> Result<Completion, TransactionError> {
    let mut task = task(connection, id)?;
    let opened = match scope {
        Reopen::Pages(pages) => reopen_pages(connection, &mut task, pages)?,
        Reopen::Unread => reopen_all(connection, &mut task, false)?,
        Reopen::All => reopen_all(connection, &mut task, true)?,
    };
    if opened { update(connection, changes, task).map(Completion::Applied) } else { Ok(Completion::Unchanged(task)) }
}

/// Reopens and queues the failed ones of these pages. Returns whether anything changed.
fn reopen_pages(connection: &Connection, task: &mut Task, pages: Vec<PageRef>) -> Result<bool, TransactionError> {
    let mut failed = Vec::new();
    for of in BTreeSet::from_iter(pages).into_iter().filter(|of| of.task_id == task.id) {
        if page(connection, of)?.status == PageStatus::Failed {
            failed.push(of);
        }
    }
    let opened = transitions::reopen_failed(task, failed.len() as u32, now());
    if opened {
        queue_pages(connection, failed, task.round)?;
    }
    Ok(opened)
}

/// Reopens and queues all pages that did not succeed, or all pages, batch by batch. Returns whether anything changed.
fn reopen_all(connection: &Connection, task: &mut Task, with_read: bool) -> Result<bool, TransactionError> {
    if transitions::reopen_all(task, with_read, now()).is_none() {
        return Ok(false);
    }
    let mut after = None;
    loop {
        let pages = pages_after(connection, task.id, after, PAGE_BATCH)?;
        let Some(last) = pages.last() else { return Ok(true) };
        after = Some(last.page);
        let unread = pages.iter().filter(|page| with_read || page.status != PageStatus::Succeeded);
        queue_pages(connection, unread.map(|page| page.page), task.round)?;
    }
}

/// Cancels an open task.
pub(crate) fn cancel(
    connection: &Connection,
    changes: &mut Changes,
    id: TaskId,
) -> Result<Completion, TransactionError> {
    let mut task = task(connection, id)?;
    if !transitions::cancel(&mut task) {
        return Ok(Completion::Unchanged(task));
    }
    update(connection, changes, task).map(Completion::Applied)
}

/// Moves a task's expiry forward.
pub(crate) fn expire(
    connection: &Connection,
    changes: &mut Changes,
    id: TaskId,
    at: UnixMillis,
) -> Result<Completion, TransactionError> {
    let mut task = task(connection, id)?;
    if !transitions::expire(&mut task, at) {
        return Ok(Completion::Unchanged(task));
    }
    update(connection, changes, task).map(Completion::Applied)
}

/// Deletes a task and its pages, and its page messages if they have texts of the customer.
pub(crate) fn remove(connection: &Connection, changes: &mut Changes, id: TaskId) -> Result<(), TransactionError> {
    if let Some(task) = find(connection, id)?.filter(has_texts_in_messages) {
        messages::delete_page_messages(connection, &task)?;
    }
    connection.prepare_cached("DELETE FROM pages WHERE task = ?1")?.execute([id.to_string()])?;
    connection.prepare_cached("DELETE FROM tasks WHERE id = ?1")?.execute([id.to_string()])?;
    changes.insert(CommittedChange::Task(id));
    Ok(())
}

/// Applies a correction of a page.
pub(crate) fn correct_page(
    connection: &Connection,
    changes: &mut Changes,
    of: PageRef,
    round: u32,
    confidence: Option<f32>,
) -> Result<Completion, TransactionError> {
    let mut page = page(connection, of)?;
    let mut task = task(connection, of.task_id)?;
    if !transitions::correct_page(&mut task, &mut page, round, confidence, now()) {
        return Ok(Completion::Unchanged(task));
    }
    put_page(connection, &page)?;
    update(connection, changes, task).map(Completion::Applied)
}

/// Returns whether the page messages have texts of the customer: patterns, or names of fields. Other messages have only
/// ids, and whoever receives them finds that the task is deleted.
fn has_texts_in_messages(task: &Task) -> bool {
    task.redact.is_some() || matches!(task.read_as.mode, Mode::Fields { .. })
}

fn find(connection: &Connection, id: TaskId) -> Result<Option<Task>, TransactionError> {
    let record: Option<String> = connection
        .prepare_cached("SELECT record FROM tasks WHERE id = ?1")?
        .query_row([id.to_string()], |row| row.get(0))
        .optional()?;
    Ok(record.map(|record| serde_json::from_str(&record)).transpose()?)
}

/// Writes a changed task.
fn update(connection: &Connection, changes: &mut Changes, mut task: Task) -> Result<Task, TransactionError> {
    transitions::record_change(&mut task, now());
    connection
        .prepare_cached("UPDATE tasks SET version = ?2, dispatched = ?3, record = ?4, expires_at = ?5 WHERE id = ?1")?
        .execute(params![
            task.id.to_string(),
            task.version as i64,
            task.dispatched,
            serde_json::to_string(&task)?,
            task.expires_at.0
        ])?;
    changes.insert(CommittedChange::Task(task.id));
    Ok(task)
}

fn queue_pages(
    connection: &Connection,
    pages: impl IntoIterator<Item = PageRef>,
    round: u32,
) -> Result<(), TransactionError> {
    pages.into_iter().try_for_each(|page| put_page(connection, &transitions::queued_page(page, round)))
}

fn put_page(connection: &Connection, page: &Page) -> Result<(), TransactionError> {
    let PageRef { task_id, document, page: number } = page.page;
    connection
        .prepare_cached("INSERT OR REPLACE INTO pages (task, document, page, record) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![task_id.to_string(), document, number, serde_json::to_string(page)?])?;
    Ok(())
}
