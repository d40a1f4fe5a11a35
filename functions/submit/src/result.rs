//! `GET /task/{task_id}/result`: what was read, in the form that is asked for.

use std::{str::FromStr, sync::Arc};

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use quire_formats::FormatPage;
use quire_tasks::Task;
use serde::Deserialize;

use crate::{
    Door,
    answer::{DocumentAnswer, documents},
    caller::Caller,
    problem::Problem,
};

#[derive(Debug, Deserialize)]
pub(crate) struct Parameters {
    format: Option<String>,
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
}

impl Form {
    const ALL: [Self; 5] = [Self::Json, Self::Text, Self::Markdown, Self::Hocr, Self::Alto];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::Markdown => "markdown",
            Self::Hocr => "hocr",
            Self::Alto => "alto",
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
        }
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

/// The task's pages, as a file to be kept.
pub(crate) async fn result(
    State(door): State<Arc<Door>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|_| Problem::task_not_found())?;
    let Query(Parameters { format }) =
        parameters.map_err(|_| Problem::invalid_field("format", "The parameter format cannot be read."))?;
    let form = format.as_deref().map_or(Ok(Form::default()), str::parse)?;
    let task = door.task_of(&caller, &id).await?;
    let id = task.id;
    if !task.status().ended() {
        return Err(Problem::task_not_ended().of(id));
    }
    let documents = documents(&door.home, &task).await?;
    let mut response = match form {
        Form::Json => Json(documents).into_response(),
        _ => written(form, &task, &documents).into_response(),
    };
    let (media, ending) = form.media();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    // What a stranger's page says is for a file, and never for a browser to run.
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{id}.{ending}\""));
    headers.insert(header::CONTENT_DISPOSITION, disposition.expect("a task id is plain"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

fn written(form: Form, task: &Task, documents: &[DocumentAnswer]) -> String {
    let pages: Vec<FormatPage<'_>> = documents.iter().flat_map(pages).collect();
    match form {
        Form::Text => quire_formats::text(&pages),
        Form::Markdown => quire_formats::markdown(&pages),
        Form::Hocr => quire_formats::hocr(&pages, &title(task)),
        Form::Alto => quire_formats::alto(&pages, name(task)),
        Form::Json => unreachable!("answered as it is"),
    }
}

fn pages(document: &DocumentAnswer) -> impl Iterator<Item = FormatPage<'_>> {
    let number = document.document;
    document.pages.iter().map(move |page| FormatPage { document: number, page: page.page, text: page.read.as_ref() })
}

/// The file's name, where there is one file.
fn name(task: &Task) -> Option<&str> {
    let [document] = &task.documents[..] else { return None };
    document.name.as_deref()
}

fn title(task: &Task) -> String {
    name(task).map_or_else(|| task.id.to_string(), str::to_owned)
}
