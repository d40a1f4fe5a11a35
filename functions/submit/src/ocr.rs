//! `POST /ocr`: one document, and its text in the answer.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use quire_tasks::{Task, TaskStatus};

use crate::{
    Door,
    accept::{Content, ended},
    answer::documents,
    caller::Caller,
    check::{Checked, check},
    create::{Call, NoTask},
    fields::USUAL,
    form::{Form, Upload},
    problem::Problem,
    task::not_found,
};

const PATH: &str = "/ocr";
const FORM: Form = Form { files: "image", alias: None, fields: &USUAL };

pub(crate) async fn ocr(State(door): State<Arc<Door>>, caller: Caller, request: Request) -> Result<Response, Problem> {
    let call = Call::new(&door, PATH, caller, request.headers())?;
    let (order, files) = call.form(&door, request, &FORM, 1).await?;
    call.create(&door, order, |_| checked(&door, files), |task| answer(&door, &call, task)).await
}

async fn checked(door: &Arc<Door>, files: Vec<Upload>) -> Result<Content, NoTask> {
    let files = check(door, files).await;
    match files.iter().find_map(|Checked { file, .. }| file.as_ref().err()) {
        Some(failure) => Err(Problem::from(failure.clone()).at("#/image").into()),
        None => Ok(Content::Files(files)),
    }
}

async fn answer(door: &Door, call: &Call, task: Task) -> Result<Response, Problem> {
    let id = task.id;
    let task = ended(door, task).await?;
    if task.status().ended() {
        result(door, &task).await.map_err(|problem| problem.of(id))
    } else {
        Ok(call.base.accepted(&task))
    }
}

async fn result(door: &Door, task: &Task) -> Result<Response, Problem> {
    let documents = documents(&door.backend, task).await.map_err(not_found)?;
    let [document] = &documents[..] else { return Err(Problem::internal(&"a task of POST /ocr has one document")) };
    match &document.error {
        Some(failure) if document.status == TaskStatus::Failed => Err(Problem::from(failure.clone()).at("#/image")),
        _ => Ok(Json(document).into_response()),
    }
}
