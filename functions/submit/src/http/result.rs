//! `GET /task/{task_id}/result`: the result of a task as a file, in several formats.

use std::{str::FromStr, sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use quire_formats::TextFormat as TextForm;
use quire_platform::{Error, now, retry_with_backoff};
use quire_tasks::{Failure, FailureCode, ObjectKey, Task, TaskId};
use serde::{Deserialize, Serialize};
use tempfile::TempPath;
use tokio::fs::File;

use crate::{
    documents::pdf_preparation::{PdfPreparation, prepare_pdf},
    http::{
        composed::{open_file, stream_file},
        principal::Principal,
        problem::Problem,
        problem_sources::task_problem,
        task::parse_words,
        urls::BaseUrl,
    },
    state::AppState,
    tasks::{result_buffer::ComposedResult, task_json::compose_json, task_text::compose_text},
    time::rfc3339,
};

/// How long a download URL is valid. Another call returns a new one.
const DOWNLOAD_URL_VALID_FOR: Duration = Duration::from_mins(15);
/// The default of `?wait=` for a searchable PDF.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);
/// `Retry-After` while a searchable PDF is being made.
const RETRY_AFTER_SECS: u64 = 2;

#[derive(Debug, Deserialize)]
pub(crate) struct ResultQuery {
    format: Option<String>,
    wait: Option<String>,
    words: Option<String>,
}

/// The format of a result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ResultFormat {
    /// The response of `POST /ocr/batch`.
    #[default]
    Json,
    Text,
    Markdown,
    /// The tables as comma-separated values.
    Csv,
    Hocr,
    Alto,
    /// A searchable PDF: the page images with their text in place.
    Pdf,
}

impl ResultFormat {
    const ALL: [Self; 7] = [Self::Json, Self::Text, Self::Markdown, Self::Csv, Self::Hocr, Self::Alto, Self::Pdf];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::Markdown => "markdown",
            Self::Csv => "csv",
            Self::Hocr => "hocr",
            Self::Alto => "alto",
            Self::Pdf => "pdf",
        }
    }

    /// Returns the media type and the file extension.
    const fn media(self) -> (&'static str, &'static str) {
        match self {
            Self::Json => ("application/json", "json"),
            Self::Text => ("text/plain; charset=utf-8", "txt"),
            Self::Markdown => ("text/markdown; charset=utf-8", "md"),
            Self::Csv => ("text/csv; charset=utf-8; header=absent", "csv"),
            Self::Hocr => ("text/html; charset=utf-8", "hocr"),
            Self::Alto => ("application/xml", "xml"),
            Self::Pdf => ("application/pdf", "pdf"),
        }
    }

    fn key(self, task: &Task) -> String {
        let ending = if self == Self::Json && task.words { "words.json" } else { self.media().1 };
        ObjectKey::Result { task_id: task.id, round: task.round, ending }.to_string()
    }

    fn file_name(self, task: &Task) -> String {
        format!("{}.{}", task.id, self.media().1)
    }
}

impl FromStr for ResultFormat {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Problem::invalid_field("format", format!("Unknown format; expected one of {known}."))
        })
    }
}

/// Returns the result, or a redirect to its download URL if it is large and the backend has download URLs.
pub(crate) async fn get_result(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    id: Result<Path<String>, PathRejection>,
    parameters: Result<Query<ResultQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let Query(ResultQuery { format, wait, words }) =
        parameters.map_err(|_| Problem::invalid_field("format", "Malformed query parameters."))?;
    let format = format.as_deref().map_or(Ok(ResultFormat::default()), str::parse)?;
    let wait = parse_wait(&app, wait.as_deref())?;
    let words = parse_words(words.as_deref())?;
    let task = app.task_of(&principal, &id).await?;
    let words = words.unwrap_or(task.words);
    let task = task.with_words(words);
    if !task.status().ended() {
        return Err(Problem::task_not_ended().of(task.id));
    }
    let text = match format {
        ResultFormat::Pdf => return answer_pdf(&app, &task, wait, &BaseUrl::new(&app, &headers)).await,
        ResultFormat::Json => None,
        ResultFormat::Text => Some(TextForm::Text),
        ResultFormat::Markdown => Some(TextForm::Markdown),
        ResultFormat::Csv => Some(TextForm::Csv),
        ResultFormat::Hocr => Some(TextForm::Hocr),
        ResultFormat::Alto => Some(TextForm::Alto),
    };
    if let Some(found) = find_stored(&app, format, &task).await? {
        return Ok(found);
    }
    let max_bytes = app.settings.inline_result_bytes;
    let permit = app.pools.results.acquire(task.tenant.as_str()).await;
    let composed = match text {
        Some(text) => compose_text(&app.backend, &task, text, max_bytes).await,
        None => compose_json(&app.backend, &task, max_bytes).await,
    };
    drop(permit);
    match composed.map_err(task_problem)? {
        ComposedResult::Bytes(bytes) => Ok(attachment(format, &task, Body::from(bytes))),
        ComposedResult::File(path, bytes) => answer_large(&app, format, &task, path, bytes).await,
    }
}

fn parse_wait(app: &AppState, wait: Option<&str>) -> Result<Duration, Problem> {
    let wait = match wait.map(str::parse) {
        None => DEFAULT_WAIT,
        Some(Ok(secs)) => Duration::from_secs(secs),
        Some(Err(_)) => {
            return Err(Problem::invalid_field("wait", "Must be a non-negative integer: the number of seconds."));
        }
    };
    Ok(wait.min(app.settings.longest_wait))
}

/// Returns a redirect to a large result that an earlier call stored.
async fn find_stored(app: &AppState, format: ResultFormat, task: &Task) -> Result<Option<Response>, Problem> {
    let Some(url) = download_url_of(app, format, task).await? else { return Ok(None) };
    let key = format.key(task);
    let found = app.backend.objects.list(&key).await?;
    Ok(found.contains(&key).then(|| redirect(&url)))
}

/// Stores a large result and redirects to it, or streams it if the backend has no download URLs.
async fn answer_large(
    app: &AppState,
    format: ResultFormat,
    task: &Task,
    path: TempPath,
    bytes: u64,
) -> Result<Response, Problem> {
    let Some(url) = download_url_of(app, format, task).await? else {
        return Ok(stream_attachment(format, task, open_file(&path).await?, bytes));
    };
    let key = format.key(task);
    retry_with_backoff(|| app.backend.objects.put_file(&key, &path)).await?;
    // If the task was deleted concurrently, nothing else would delete the stored result.
    match app.backend.tasks.task(task.id).await {
        Ok(task) if !task.expired(now()) => Ok(redirect(&url)),
        Ok(_) | Err(Error::NotFound { .. }) => {
            app.backend.objects.erase(&key).await?;
            Err(Problem::task_not_found())
        }
        Err(error) => Err(error.into()),
    }
}

async fn answer_pdf(app: &AppState, task: &Task, wait: Duration, base: &BaseUrl) -> Result<Response, Problem> {
    let pages = task.counts.total();
    let max_pages = app.settings.max_result_pages;
    if pages > max_pages {
        return Err(Problem::result_too_large(&format!("The task has {pages} pages; a PDF has at most {max_pages}"))
            .of(task.id));
    }
    if task.pages().next().is_none() {
        let message = "No document of the task has a page.";
        return Err(Problem::result_failed(&Failure::new(FailureCode::UnreadableDocument, message)).of(task.id));
    }
    match prepare_pdf(app, task, wait).await? {
        PdfPreparation::Ready { bytes } => answer_ready_pdf(app, task, bytes).await,
        PdfPreparation::Failed { failure, .. } => Err(Problem::result_failed(&failure).of(task.id)),
        PdfPreparation::Requested { .. } => Ok(preparing(base, task.id)),
    }
}

async fn answer_ready_pdf(app: &AppState, task: &Task, bytes: u64) -> Result<Response, Problem> {
    let key = ResultFormat::Pdf.key(task);
    let is_large = bytes > app.settings.inline_result_bytes as u64;
    if let Some(url) = download_url_of(app, ResultFormat::Pdf, task).await? {
        if is_large {
            return Ok(redirect(&url));
        }
        let bytes = retry_with_backoff(|| app.backend.objects.read(&key)).await.map_err(task_problem)?;
        return Ok(attachment(ResultFormat::Pdf, task, Body::from(bytes)));
    }
    let local = retry_with_backoff(|| app.backend.objects.local_file(&key)).await.map_err(task_problem)?;
    Ok(stream_attachment(ResultFormat::Pdf, task, open_file(&local).await?, bytes))
}

/// Returns a download URL, which needs no credentials; `None` if the backend has none.
async fn download_url_of(app: &AppState, format: ResultFormat, task: &Task) -> Result<Option<String>, Problem> {
    let key = format.key(task);
    let name = format.file_name(task);
    Ok(app.backend.objects.download_url(&key, &name, format.media().0, DOWNLOAD_URL_VALID_FOR).await?)
}

#[derive(Debug, Serialize)]
struct ResultUrlAnswer<'a> {
    result_url: &'a str,
    expires_at: String,
}

/// Returns the `303` response that redirects to a download URL.
fn redirect(url: &str) -> Response {
    let expires_at = rfc3339(now().plus(DOWNLOAD_URL_VALID_FOR));
    let location = HeaderValue::from_str(url).ok().map(|url| (header::LOCATION, url));
    let mut response = (StatusCode::SEE_OTHER, Json(ResultUrlAnswer { result_url: url, expires_at })).into_response();
    // The URL is a credential: it grants access to the result.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().extend(location);
    response
}

#[derive(Debug, Serialize)]
struct PreparingAnswer {
    task_id: TaskId,
    status: &'static str,
    result_url: String,
}

/// Returns the `202` response while the PDF is being made.
fn preparing(base: &BaseUrl, task_id: TaskId) -> Response {
    let result_url = format!("{}/result?format=pdf", base.status_url(task_id));
    let mut response =
        (StatusCode::ACCEPTED, Json(PreparingAnswer { task_id, status: "preparing", result_url })).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS));
    response
}

fn stream_attachment(format: ResultFormat, task: &Task, open: File, bytes: u64) -> Response {
    let mut response = attachment(format, task, stream_file(open).into_body());
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    response
}

fn attachment(format: ResultFormat, task: &Task, body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media().0));
    // The text comes from untrusted documents: a browser must save it and never interpret it (hOCR is HTML).
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{}\"", format.file_name(task)));
    headers.insert(header::CONTENT_DISPOSITION, disposition.expect("a task id is ASCII"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
