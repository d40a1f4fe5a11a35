//! `POST /ocr/async`: a task and where to ask for it, at once.

use std::{future::ready, sync::Arc};

use axum::{
    extract::{Request, State},
    response::Response,
};
use quire_tasks::DocumentSource;

use crate::{
    Door,
    accept::Content,
    caller::Caller,
    check::check,
    create::{Call, NoTask},
    fields::WITH_CALLBACK,
    form::{Form, Upload},
    json,
    problem::Problem,
};

const PATH: &str = "/ocr/async";
const FORM: Form = Form { files: "images", alias: Some("image"), fields: &WITH_CALLBACK };

pub(crate) async fn asynchronous(
    State(door): State<Arc<Door>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let call = Call::new(&door, PATH, caller, request.headers())?;
    match json::media_type(request.headers()).as_str() {
        "application/json" => by_url(&door, &call, request).await,
        "multipart/form-data" => by_upload(&door, &call, request).await,
        _ => Err(Problem::unsupported_media_type("application/json or multipart/form-data")),
    }
}

/// Nothing is fetched here: that happens behind the documents queue.
async fn by_url(door: &Arc<Door>, call: &Call, request: Request) -> Result<Response, Problem> {
    let (order, body) = call.json(door, request, &["image_url"], &WITH_CALLBACK).await?;
    let url = json::url(door, &body, "image_url")?.ok_or_else(|| Problem::missing_field("image_url"))?;
    let content = Content::Pending { name: None, source: DocumentSource::Url { url } };
    call.create(door, order, |_| ready(Ok(content)), |task| ready(Ok(call.base.accepted(&task)))).await
}

async fn by_upload(door: &Arc<Door>, call: &Call, request: Request) -> Result<Response, Problem> {
    let (order, files) = call.form(door, request, &FORM, door.settings.max_files).await?;
    let content = |_| checked(door, files);
    call.create(door, order, content, |task| ready(Ok(call.base.accepted(&task)))).await
}

async fn checked(door: &Arc<Door>, files: Vec<Upload>) -> Result<Content, NoTask> {
    let files = check(door, files).await;
    match files.iter().find_map(|file| file.file.as_ref().err()) {
        Some(failure) if files.iter().all(|file| file.file.is_err()) => {
            Err(Problem::from(failure.clone()).at("#/images/0").into())
        }
        _ => Ok(Content::Files(files)),
    }
}
