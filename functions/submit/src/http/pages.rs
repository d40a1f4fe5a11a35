//! `GET /task/{task_id}/pages`: a task's pages, one by one, with what was read on them.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::PathRejection},
};
use quire_tasks::{Failure, Page, PageRef, PageStatus, Task};
use serde::Serialize;

use crate::{
    http::{
        cursor,
        principal::Principal,
        problem::{Problem, not_found},
        query::QueryParameters,
    },
    state::AppState,
    tasks::page_texts::{StoredText, lost, page_texts},
    time::rfc3339,
};

const STATUSES: &str = "queued, succeeded, failed and canceled";

#[derive(Debug, Serialize)]
pub(crate) struct PageList {
    pages: Vec<PageListEntry>,
    /// Where to go on; `null` where there are no more.
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
    /// Of a page that was read, once the task has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl PageListEntry {
    fn new(task: &Task, page: Page, text: StoredText) -> Self {
        let status = task.status_of(&page);
        // Of a page that was canceled the record does not know that it has ended.
        let canceled_at = task.ended_at.filter(|_| status == PageStatus::Canceled);
        let (text, lost) = match text {
            StoredText::Read(read) => (Some(read.text()), None),
            StoredText::Lost => (None, Some(lost())),
            StoredText::None => (None, None),
        };
        let Page { page: PageRef { document, page: number, .. }, confidence, needs_review, .. } = page;
        let ended_at = page.ended_at.or(canceled_at).map(rfc3339);
        let error = page.failure.or(lost);
        Self { document, page: number, status, confidence, needs_review, error, ended_at, text }
    }
}

/// A document that could not be split has no pages: the task itself says why.
pub(crate) async fn pages(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Json<PageList>, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let parameters = QueryParameters::of(query.as_deref());
    let (status, limit) = (parameters.word::<PageStatus>("status", STATUSES)?, parameters.limit()?);
    let task = app.task_of(&principal, &id).await?;
    let after = parameters.cursor(|text| cursor::page(&task, text))?;
    let mut pages = app.backend.tasks.pages(task.id).await?;
    pages.retain(|page| after.is_none_or(|after| page.page > after));
    pages.retain(|page| status.is_none_or(|status| task.status_of(page) == status));
    let next = (pages.len() > limit).then(|| cursor::of_page(pages[limit - 1].page));
    pages.truncate(limit);
    let texts = page_texts(&app.backend, &task, pages).await.map_err(not_found)?;
    let pages = texts.into_iter().map(|(page, text)| PageListEntry::new(&task, page, text)).collect();
    Ok(Json(PageList { pages, next }))
}
