//! `POST /ocr/batch`: many documents, and an entry for each in the order sent. One bad file never fails the batch.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::HeaderValue,
    response::{IntoResponse, Response},
};
use quire_tasks::Task;

use crate::{
    documents::batch::validated_content,
    http::{
        create::{CreateRejection, CreateRequest, ended},
        fields::USUAL,
        form::FormSpec,
        principal::Principal,
        problem::{Problem, not_found},
        urls::TASK_ID,
    },
    state::AppState,
    tasks::answers::{DocumentAnswer, document_answers},
};

const PATH: &str = "/ocr/batch";
const FORM: FormSpec = FormSpec { files: "images", alias: None, fields: &USUAL };

pub(crate) async fn batch(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    request: Request,
) -> Result<Response, Problem> {
    let call = CreateRequest::new(&app, PATH, principal, request.headers())?;
    let (order, files) = call.form(&app, request, &FORM, app.settings.max_files).await?;
    let content = async |_| {
        let refused = |entries: Vec<DocumentAnswer>| CreateRejection::Answered(Json(entries).into_response());
        validated_content(&app, files).await.map_err(refused)
    };
    call.create(&app, order, content, |task| answer(&app, &call, task)).await
}

async fn answer(app: &AppState, call: &CreateRequest, task: Task) -> Result<Response, Problem> {
    let id = task.id;
    let task = ended(app, task).await?;
    if !task.status().ended() {
        return Ok(call.base.accepted(&task));
    }
    let documents = document_answers(&app.backend, &task).await.map_err(|error| not_found(error).of(id))?;
    let id = HeaderValue::from_str(&id.to_string()).expect("a task id is plain");
    Ok(([(TASK_ID, id)], Json(documents)).into_response())
}
