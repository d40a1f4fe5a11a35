//! `GET /task/{task_id}/pages`: lists a task's pages with their text.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::PathRejection},
};
use quire_tasks::{Failure, Page, PageRef, PageStatus, Task};
use serde::Serialize;

use crate::{
    http::{cursor, principal::Principal, problem::Problem, problem_sources::task_problem, query::QueryParameters},
    state::AppState,
    tasks::page_texts::{StoredText, missing_text, page_texts},
    time::rfc3339,
};

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
            StoredText::Read(read) => (Some(read.text()), None),
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
    let mut pages = app.backend.tasks.pages(task.id).await?;
    pages.retain(|page| after.is_none_or(|after| page.page > after));
    pages.retain(|page| status.is_none_or(|status| task.status_of(page) == status));
    let next = (pages.len() > limit).then(|| cursor::encode_page(pages[limit - 1].page));
    pages.truncate(limit);
    let texts = page_texts(&app.backend, &task, pages).await.map_err(task_problem)?;
    let pages = texts.into_iter().map(|(page, text)| PageListEntry::new(&task, page, text)).collect();
    Ok(Json(PageList { pages, next }))
}
