//! `POST /ocr`: reads one document and returns its text.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use quire_tasks::{Task, TaskStatus, Tenant};

use crate::{
    documents::validation::{UploadedFile, validate_files},
    http::{
        composed::{MAX_BODY_IN_MEMORY, json_response},
        create::{CreateRejection, CreateRequest, wait_for_end},
        fields::USUAL,
        form::FormSpec,
        principal::Principal,
        problem::Problem,
        problem_sources::task_problem,
    },
    state::AppState,
    tasks::{submission::TaskContent, task_json::compose_first},
};

const PATH: &str = "/ocr";
const FORM: FormSpec = FormSpec { files: "image", alias: None, fields: &USUAL };

pub(crate) async fn read_document(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    request: Request,
) -> Result<Response, Problem> {
    let call = CreateRequest::new(&app, PATH, principal, request.headers())?;
    let (spec, files) = call.receive_form(&app, request, &FORM, 1).await?;
    call.create(&app, spec, |_| validate_content(&app, call.tenant(), files), |task| answer(&app, &call, task)).await
}

async fn validate_content(
    app: &Arc<AppState>,
    tenant: &Tenant,
    files: Vec<UploadedFile>,
) -> Result<TaskContent, CreateRejection> {
    let files = validate_files(app, tenant, files).await;
    match files.iter().find_map(|file| file.file.as_ref().err()) {
        Some(failure) => Err(Problem::from(failure.clone()).at("#/image").into()),
        None => Ok(TaskContent::Files(files)),
    }
}

async fn answer(app: &AppState, call: &CreateRequest, task: Task) -> Result<Response, Problem> {
    let id = task.id;
    let task = wait_for_end(app, task).await?;
    if task.status().ended() {
        answer_text(app, &task).await.map_err(|problem| problem.of(id))
    } else {
        Ok(call.base.accepted(&task))
    }
}

async fn answer_text(app: &AppState, task: &Task) -> Result<Response, Problem> {
    let composed = compose_first(&app.backend, task, MAX_BODY_IN_MEMORY).await;
    let (composed, outcome) = composed.map_err(task_problem)?;
    match outcome.error {
        Some(failure) if outcome.status == TaskStatus::Failed => Err(Problem::from(failure).at("#/image")),
        _ => json_response(composed).await,
    }
}
