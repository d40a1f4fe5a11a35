//! `POST /ocr`: one document, and its text in the answer.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use quire_tasks::{Task, TaskStatus};

use crate::{
    documents::validation::{UploadedFile, validate_files},
    http::{
        create::{CreateRejection, CreateRequest, ended},
        fields::USUAL,
        form::FormSpec,
        principal::Principal,
        problem::{Problem, not_found},
    },
    state::AppState,
    tasks::{
        answers::document_answers,
        submission::{TaskContent, ValidatedFile},
    },
};

const PATH: &str = "/ocr";
const FORM: FormSpec = FormSpec { files: "image", alias: None, fields: &USUAL };

pub(crate) async fn ocr(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    request: Request,
) -> Result<Response, Problem> {
    let call = CreateRequest::new(&app, PATH, principal, request.headers())?;
    let (order, files) = call.form(&app, request, &FORM, 1).await?;
    call.create(&app, order, |_| checked(&app, files), |task| answer(&app, &call, task)).await
}

async fn checked(app: &Arc<AppState>, files: Vec<UploadedFile>) -> Result<TaskContent, CreateRejection> {
    let files = validate_files(app, files).await;
    match files.iter().find_map(|ValidatedFile { file, .. }| file.as_ref().err()) {
        Some(failure) => Err(Problem::from(failure.clone()).at("#/image").into()),
        None => Ok(TaskContent::Files(files)),
    }
}

async fn answer(app: &AppState, call: &CreateRequest, task: Task) -> Result<Response, Problem> {
    let id = task.id;
    let task = ended(app, task).await?;
    if task.status().ended() {
        result(app, &task).await.map_err(|problem| problem.of(id))
    } else {
        Ok(call.base.accepted(&task))
    }
}

async fn result(app: &AppState, task: &Task) -> Result<Response, Problem> {
    let documents = document_answers(&app.backend, task).await.map_err(not_found)?;
    let [document] = &documents[..] else { return Err(Problem::internal(&"a task of POST /ocr has one document")) };
    match &document.error {
        Some(failure) if document.status == TaskStatus::Failed => Err(Problem::from(failure.clone()).at("#/image")),
        _ => Ok(Json(document).into_response()),
    }
}
