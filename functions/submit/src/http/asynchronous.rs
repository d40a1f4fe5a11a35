//! `POST /ocr/async`: creates a task and returns at once.

use std::{future::ready, sync::Arc};

use axum::{
    extract::{Request, State},
    response::Response,
};
use quire_tasks::{DocumentSource, Tenant};

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

pub(crate) async fn submit_async(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    request: Request,
) -> Result<Response, Problem> {
    let call = CreateRequest::new(&app, PATH, principal, request.headers())?;
    match json::media_type(request.headers()).as_str() {
        "application/json" => submit_url(&app, &call, request).await,
        "multipart/form-data" => submit_files(&app, &call, request).await,
        _ => Err(Problem::unsupported_media_type("application/json or multipart/form-data")),
    }
}

/// Creates a task for an `image_url`. Ingest fetches the URL later.
async fn submit_url(app: &Arc<AppState>, call: &CreateRequest, request: Request) -> Result<Response, Problem> {
    let (spec, body) = call.parse_json(app, request, &["image_url"], &WITH_CALLBACK).await?;
    let url = json::url(app, &body, "image_url")?.ok_or_else(|| Problem::missing_field("image_url"))?;
    let content = TaskContent::Pending { name: None, source: DocumentSource::Url { url } };
    call.create(app, spec, |_| ready(Ok(content)), |task| ready(Ok(call.base.accepted(&task)))).await
}

async fn submit_files(app: &Arc<AppState>, call: &CreateRequest, request: Request) -> Result<Response, Problem> {
    let (spec, files) = call.receive_form(app, request, &FORM, app.settings.max_files).await?;
    let content = |_| validate_content(app, call.tenant(), files);
    call.create(app, spec, content, |task| ready(Ok(call.base.accepted(&task)))).await
}

/// Validates the files. The request is refused only if all files are invalid.
async fn validate_content(
    app: &Arc<AppState>,
    tenant: &Tenant,
    files: Vec<UploadedFile>,
) -> Result<TaskContent, CreateRejection> {
    let files = validate_files(app, tenant, files).await;
    if files.iter().any(|file| file.file.is_ok()) {
        return Ok(TaskContent::Files(files));
    }
    match files.iter().find_map(|file| file.file.as_ref().err()) {
        Some(failure) => Err(Problem::from(failure.clone()).at("#/images/0").into()),
        None => Ok(TaskContent::Files(files)),
    }
}
