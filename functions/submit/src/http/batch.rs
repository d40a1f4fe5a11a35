//! `POST /ocr/batch`: reads many documents and returns an entry for each, in the order sent. One bad file never fails
//! the batch.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::HeaderValue,
    response::{IntoResponse, Response},
};
use quire_tasks::Task;

use crate::{
    documents::batch::validate_batch,
    http::{
        composed::{MAX_BODY_IN_MEMORY, json_response},
        create::{CreateRejection, CreateRequest, wait_for_end},
        fields::USUAL,
        form::FormSpec,
        principal::Principal,
        problem::Problem,
        problem_sources::task_problem,
        urls::TASK_ID,
    },
    state::AppState,
    tasks::task_json::compose_json,
};

const PATH: &str = "/ocr/batch";
const FORM: FormSpec = FormSpec { files: "images", alias: None, fields: &USUAL };

pub(crate) async fn read_batch(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    request: Request,
) -> Result<Response, Problem> {
    let call = CreateRequest::new(&app, PATH, principal, request.headers())?;
    let (spec, files) = call.receive_form(&app, request, &FORM, app.settings.max_files).await?;
    let content = async |_| match validate_batch(&app, call.tenant(), files).await {
        Ok(content) => Ok(content),
        Err(entries) => Err(CreateRejection::Answered(Json(entries).into_response())),
    };
    call.create(&app, spec, content, |task| answer(&app, &call, task)).await
}

async fn answer(app: &AppState, call: &CreateRequest, task: Task) -> Result<Response, Problem> {
    let id = task.id;
    let task = wait_for_end(app, task).await?;
    if !task.status().ended() {
        return Ok(call.base.accepted(&task));
    }
    let _permit = app.pools.results.acquire(call.tenant().as_str()).await;
    let composed = compose_json(&app.backend, &task, MAX_BODY_IN_MEMORY).await;
    let mut response = json_response(composed.map_err(|error| task_problem(error).of(id))?).await?;
    let id = HeaderValue::from_str(&id.to_string()).expect("a task id is ASCII");
    response.headers_mut().insert(TASK_ID, id);
    Ok(response)
}
