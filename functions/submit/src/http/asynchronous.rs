//! `POST /ocr/async`: a task and where to ask for it, at once.

use std::{future::ready, sync::Arc};

use axum::{
    extract::{Request, State},
    response::Response,
};
use quire_tasks::Source;

use crate::{
    documents::validation::{UploadedFile, validate_files},
    http::{
        create::{CreateRejection, CreateRequest},
        fields::WITH_CALLBACK,
        form::FormSpec,
        json,
        principal::Principal,
        problem::Problem,
    },
    state::AppState,
    tasks::submission::TaskContent,
};

const PATH: &str = "/ocr/async";
const FORM: FormSpec = FormSpec { files: "images", alias: Some("image"), fields: &WITH_CALLBACK };

pub(crate) async fn asynchronous(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    request: Request,
) -> Result<Response, Problem> {
    let call = CreateRequest::new(&app, PATH, principal, request.headers())?;
    match json::media_type(request.headers()).as_str() {
        "application/json" => by_url(&app, &call, request).await,
        "multipart/form-data" => by_upload(&app, &call, request).await,
        _ => Err(Problem::unsupported_media_type("application/json or multipart/form-data")),
    }
}

/// Nothing is fetched here: that happens behind the documents queue.
async fn by_url(app: &Arc<AppState>, call: &CreateRequest, request: Request) -> Result<Response, Problem> {
    let (order, body) = call.json(app, request, &["image_url"], &WITH_CALLBACK).await?;
    let url = json::url(app, &body, "image_url")?.ok_or_else(|| Problem::missing_field("image_url"))?;
    let content = TaskContent::Pending { name: None, source: Source::Url { url } };
    call.create(app, order, |_| ready(Ok(content)), |task| ready(Ok(call.base.accepted(&task)))).await
}

async fn by_upload(app: &Arc<AppState>, call: &CreateRequest, request: Request) -> Result<Response, Problem> {
    let (order, files) = call.form(app, request, &FORM, app.settings.max_files).await?;
    let content = |_| checked(app, files);
    call.create(app, order, content, |task| ready(Ok(call.base.accepted(&task)))).await
}

async fn checked(app: &Arc<AppState>, files: Vec<UploadedFile>) -> Result<TaskContent, CreateRejection> {
    let files = validate_files(app, files).await;
    match files.iter().find_map(|file| file.file.as_ref().err()) {
        Some(failure) if files.iter().all(|file| file.file.is_err()) => {
            Err(Problem::from(failure.clone()).at("#/images/0").into())
        }
        _ => Ok(TaskContent::Files(files)),
    }
}
