//! `GET /task/{task_id}/pages`: lists a task's pages with their text.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::PathRejection},
};
use quire_formats::page_output;
use quire_tasks::{Failure, Page, PageRef, PageStatus, Task};
use serde::Serialize;

use crate::{
    http::{cursor, principal::Principal, problem::Problem, problem_sources::task_problem, query::QueryParameters},
    state::AppState,
    tasks::page_texts::{StoredText, missing_text, page_texts},
    time::rfc3339,
};

/// The maximum number of pages that one call examines. A search for something rare in a very long task returns a cursor
/// and possibly no page.
const MAX_EXAMINED: usize = 20_000;
/// The number of pages read at a time if the status may exclude most of them.
const READ_BATCH: usize = 500;
const STATUSES: &str = "queued, succeeded, failed, canceled";

#[derive(Debug, Serialize)]
pub(crate) struct PageList {
    pages: Vec<PageListEntry>,
    /// The cursor of the next page of the list; `null` on the last one.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct PageListEntry {
    document: u32,
    page: u32,
    status: PageStatus,
    confidence: Option<f32>,
    needs_review: bool,
    error: Option<Failure>,
    ended_at: Option<String>,
    /// Present for a page that was read, once the task has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl PageListEntry {
    fn new(task: &Task, page: Page, text: StoredText) -> Self {
        let status = task.status_of(&page);
        // The record of a canceled page has no end of its own.
        let canceled_at = if status == PageStatus::Canceled { task.ended_at } else { None };
        let (text, missing) = match text {
            StoredText::Read(read) => (Some(page_output(&read)), None),
            StoredText::Missing => (None, Some(missing_text())),
            StoredText::None => (None, None),
        };
        let Page { page: PageRef { document, page: number, .. }, confidence, needs_review, .. } = page;
        let ended_at = page.ended_at.or(canceled_at).map(rfc3339);
        let error = page.failure.or(missing);
        Self { document, page: number, status, confidence, needs_review, error, ended_at, text }
    }
}

/// Lists the pages. A document that could not be split has none; `GET /task/{task_id}` has its error.
pub(crate) async fn list_pages(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Json<PageList>, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let parameters = QueryParameters::parse(query.as_deref());
    let status = parameters.word::<PageStatus>("status", STATUSES)?;
    let limit = parameters.limit()?;
    let task = app.task_of(&principal, &id).await?;
    let after = parameters.cursor(|text| cursor::parse_page(&task, text))?;
    let (pages, next) = find_pages(&app, &task, status, after, limit).await?;
    let next = next.map(cursor::encode_page);
    let texts = page_texts(&app.backend, &task, pages).await.map_err(task_problem)?;
    let pages = texts.into_iter().map(|(page, text)| PageListEntry::new(&task, page, text)).collect();
    Ok(Json(PageList { pages, next }))
}

/// Returns up to `limit` pages with this status, and the position after which there may be more.
async fn find_pages(
    app: &AppState,
    task: &Task,
    status: Option<PageStatus>,
    mut after: Option<PageRef>,
    limit: usize,
) -> Result<(Vec<Page>, Option<PageRef>), Problem> {
    let mut found = Vec::new();
    let mut examined = 0;
    // Reads one more than the limit to know whether another page follows.
    let batch = if status.is_none() { limit + 1 } else { READ_BATCH };
    while examined < MAX_EXAMINED {
        let pages = app.backend.tasks.pages_after(task.id, after, batch).await?;
        let is_last = pages.len() < batch;
        examined += pages.len();
        for page in pages {
            let position = page.page;
            if status.is_none_or(|status| task.status_of(&page) == status) {
                if found.len() == limit {
                    return Ok((found, after));
                }
                found.push(page);
            }
            after = Some(position);
        }
        if is_last {
            return Ok((found, None));
        }
    }
    Ok((found, after))
}
