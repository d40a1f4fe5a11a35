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
    accept::{Content, Submission, accept, wait_until},
    answer::documents,
    check::{Checked, check},
    form::{self, Form},
    link::Base,
    problem::Problem,
    trace,
};

const FORM: Form =
    Form { files: "image", alias: None, callback_url: false, known: "image, mode, keys, language and engine" };

pub(crate) async fn ocr(State(door): State<Arc<Door>>, request: Request) -> Result<Response, Problem> {
    let base = Base::new(&door, request.headers());
    let trace = trace::of(request.headers());
    let uploads = form::receive(&door, request, &FORM, 1).await?;
    let assigned = door.routing.admit(&door.home, uploads.asked.wanted()?).await??;
    let files = check(&door, uploads.files).await;
    if let Some(failure) = files.iter().find_map(|Checked { file, .. }| file.as_ref().err()) {
        return Err(Problem::from(failure.clone()).at("#/image"));
    }
    let task = accept(&door, Submission::new(assigned, Content::Files(files), None, trace)).await?;
    let id = task.id;
    let task = wait_until(&door, task, door.settings.sync_limit, |task| task.status().ended()).await;
    let task = task.map_err(|error| Problem::from(error).of(id))?;
    if task.status().ended() {
        answer(&door, &task).await.map_err(|problem| problem.of(id))
    } else {
        Ok(base.accepted(&task))
    }
}

async fn answer(door: &Door, task: &Task) -> Result<Response, Problem> {
    let documents = documents(&door.home, task).await?;
    let [document] = &documents[..] else { return Err(Problem::internal(&"a task of POST /ocr has one document")) };
    match &document.error {
        Some(failure) if document.status == TaskStatus::Failed => Err(Problem::from(failure.clone()).at("#/image")),
        _ => Ok(Json(document).into_response()),
    }
}
