//! `GET /task/{task_id}/result`: what was read, in the form that is asked for.

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
use quire_formats::TextFormat;
use quire_platform::{Error, retry_with_backoff};
use quire_tasks::{Failure, FailureCode, ObjectKey, Task, TaskId};
use serde::{Deserialize, Serialize};
use tempfile::TempPath;
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use crate::{
    Door,
    accept::now,
    caller::Caller,
    compose::{Made, as_json, as_text},
    link::Base,
    prepare::{Preparation, prepared},
    problem::Problem,
    task::{not_found, rfc3339},
};

/// How long an address of a result is good for. A new one is one call away.
const ADDRESS_VALID_FOR: Duration = Duration::from_mins(15);
/// How long a call waits for what takes its time, unless it says.
const USUAL_WAIT: Duration = Duration::from_secs(5);
/// How soon to ask again for what takes longer.
const RETRY_AFTER_SECS: u64 = 2;

#[derive(Debug, Deserialize)]
pub(crate) struct Parameters {
    format: Option<String>,
    wait: Option<String>,
}

/// The forms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Form {
    /// What `POST /ocr/batch` answers.
    #[default]
    Json,
    Text,
    Markdown,
    Hocr,
    Alto,
    /// The pages as they look, with their text in place.
    Pdf,
}

impl Form {
    const ALL: [Self; 6] = [Self::Json, Self::Text, Self::Markdown, Self::Hocr, Self::Alto, Self::Pdf];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::Markdown => "markdown",
            Self::Hocr => "hocr",
            Self::Alto => "alto",
            Self::Pdf => "pdf",
        }
    }

    /// The type of its content, and how files of it end.
    const fn media(self) -> (&'static str, &'static str) {
        match self {
            Self::Json => ("application/json", "json"),
            Self::Text => ("text/plain; charset=utf-8", "txt"),
            Self::Markdown => ("text/markdown; charset=utf-8", "md"),
            Self::Hocr => ("text/html; charset=utf-8", "hocr"),
            Self::Alto => ("application/xml", "xml"),
            Self::Pdf => ("application/pdf", "pdf"),
        }
    }

    fn key(self, task: &Task) -> String {
        ObjectKey::Result { task_id: task.id, round: task.round, ending: self.media().1 }.to_string()
    }

    fn file_name(self, task: &Task) -> String {
        format!("{}.{}", task.id, self.media().1)
    }
}

impl FromStr for Form {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        let unknown = || Problem::invalid_field("format", format!("There is no such format; there are {}.", known()));
        Self::ALL.into_iter().find(|form| form.as_str() == text).ok_or_else(unknown)
    }
}

/// The task's pages, as a file to be kept; or where it is, where it is large and the backend has an address for it.
pub(crate) async fn result(
    State(door): State<Arc<Door>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let Query(Parameters { format, wait }) =
        parameters.map_err(|_| Problem::invalid_field("format", "The parameters cannot be read."))?;
    let form = format.as_deref().map_or(Ok(Form::default()), str::parse)?;
    let wait = wait_of(&door, wait.as_deref())?;
    let task = door.task_of(&caller, &id).await?;
    if !task.status().ended() {
        return Err(Problem::task_not_ended().of(task.id));
    }
    let text = match form {
        Form::Pdf => return pdf(&door, &task, wait, &Base::new(&door, &headers)).await,
        Form::Json => None,
        Form::Text => Some(TextFormat::Text),
        Form::Markdown => Some(TextFormat::Markdown),
        Form::Hocr => Some(TextFormat::Hocr),
        Form::Alto => Some(TextFormat::Alto),
    };
    if let Some(found) = stored(&door, form, &task).await? {
        return Ok(found);
    }
    let most = door.settings.inline_result_bytes;
    let made = match text {
        Some(text) => as_text(&door.backend, &task, text, most).await,
        None => as_json(&door.backend, &task, most).await,
    };
    match made.map_err(not_found)? {
        Made::Bytes(bytes) => Ok(file(form, &task, Body::from(bytes))),
        Made::File(path, bytes) => large(&door, form, &task, path, bytes).await,
    }
}

fn wait_of(door: &Door, wait: Option<&str>) -> Result<Duration, Problem> {
    let invalid = |_| Problem::invalid_field("wait", "The parameter wait is no whole number of seconds.");
    let wait = wait.map(str::parse).transpose().map_err(invalid)?.map_or(USUAL_WAIT, Duration::from_secs);
    Ok(wait.min(door.settings.longest_wait))
}

/// What was made large earlier, by its address.
async fn stored(door: &Door, form: Form, task: &Task) -> Result<Option<Response>, Problem> {
    let Some(url) = address(door, form, task).await? else { return Ok(None) };
    let key = form.key(task);
    let found = door.backend.objects.list(&key).await?;
    Ok(found.contains(&key).then(|| elsewhere(&url)))
}

/// A large result: by its address, where the backend has one; otherwise as it is.
async fn large(door: &Door, form: Form, task: &Task, path: TempPath, bytes: u64) -> Result<Response, Problem> {
    let Some(url) = address(door, form, task).await? else {
        return Ok(sent(form, task, opened(&path).await?, bytes));
    };
    let key = form.key(task);
    retry_with_backoff(|| door.backend.objects.put_file(&key, &path)).await?;
    // Deleted meanwhile, it would stay for ever.
    match door.backend.tasks.task(task.id).await {
        Ok(task) if !task.expired(now()) => Ok(elsewhere(&url)),
        Ok(_) | Err(Error::NotFound { .. }) => {
            door.backend.objects.erase(&key).await?;
            Err(Problem::task_not_found())
        }
        Err(error) => Err(error.into()),
    }
}

async fn pdf(door: &Door, task: &Task, wait: Duration, base: &Base) -> Result<Response, Problem> {
    let (pages, most) = (task.counts.total(), door.settings.max_result_pages);
    if pages > most {
        return Err(
            Problem::result_too_large(&format!("The task has {pages} pages, and a PDF at most {most}")).of(task.id)
        );
    }
    if task.pages().next().is_none() {
        let message = "None of its documents has a page that could be shown.";
        return Err(Problem::result_failed(&Failure::new(FailureCode::UnreadableDocument, message)).of(task.id));
    }
    match prepared(door, task, wait).await? {
        Preparation::Ready { bytes } => ready(door, task, bytes).await,
        Preparation::Failed { failure, .. } => Err(Problem::result_failed(&failure).of(task.id)),
        Preparation::Asked { .. } => Ok(preparing(base, task.id)),
    }
}

async fn ready(door: &Door, task: &Task, bytes: u64) -> Result<Response, Problem> {
    let key = Form::Pdf.key(task);
    let is_large = bytes > door.settings.inline_result_bytes as u64;
    if let Some(url) = address(door, Form::Pdf, task).await? {
        if is_large {
            return Ok(elsewhere(&url));
        }
        let bytes = retry_with_backoff(|| door.backend.objects.read(&key)).await.map_err(not_found)?;
        return Ok(file(Form::Pdf, task, Body::from(bytes)));
    }
    let local = retry_with_backoff(|| door.backend.objects.local_file(&key)).await.map_err(not_found)?;
    Ok(sent(Form::Pdf, task, opened(&local).await?, bytes))
}

/// Where anybody can fetch it for a while; none where the backend has no such addresses.
async fn address(door: &Door, form: Form, task: &Task) -> Result<Option<String>, Problem> {
    let (key, name) = (form.key(task), form.file_name(task));
    Ok(door.backend.objects.download_url(&key, &name, form.media().0, ADDRESS_VALID_FOR).await?)
}

#[derive(Debug, Serialize)]
struct Elsewhere<'a> {
    result_url: &'a str,
    expires_at: String,
}

/// `303`: it is to be fetched there.
fn elsewhere(url: &str) -> Response {
    let expires_at = rfc3339(now().plus(ADDRESS_VALID_FOR));
    let location = HeaderValue::from_str(url).ok().map(|url| (header::LOCATION, url));
    let mut response = (StatusCode::SEE_OTHER, Json(Elsewhere { result_url: url, expires_at })).into_response();
    // Whoever knows the address has the result.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().extend(location);
    response
}

#[derive(Debug, Serialize)]
struct Preparing {
    task_id: TaskId,
    status: &'static str,
    result_url: String,
}

/// `202`: it is being made, and this is where to look.
fn preparing(base: &Base, task_id: TaskId) -> Response {
    let result_url = format!("{}/result?format=pdf", base.status_url(task_id));
    let mut response =
        (StatusCode::ACCEPTED, Json(Preparing { task_id, status: "preparing", result_url })).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS));
    response
}

/// Opened before its name may go: a file that is open is read to its end.
async fn opened(path: &std::path::Path) -> Result<File, Problem> {
    File::open(path).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Problem::task_not_found(),
        _ => Problem::internal(&error),
    })
}

fn sent(form: Form, task: &Task, open: File, bytes: u64) -> Response {
    let mut response = file(form, task, Body::from_stream(ReaderStream::new(open)));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    response
}

fn file(form: Form, task: &Task, body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.media().0));
    // What a stranger's page says is for a file, and never for a browser to run.
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{}\"", form.file_name(task)));
    headers.insert(header::CONTENT_DISPOSITION, disposition.expect("a task id is plain"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
