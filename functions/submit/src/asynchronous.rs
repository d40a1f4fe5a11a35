//! `POST /ocr/async`: a task and where to ask for it, at once.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use quire_tasks::{Source, TraceParent};

use crate::{
    Door,
    accept::{Content, Submission, accept},
    check::check,
    form::{self, Form},
    json,
    link::Base,
    problem::Problem,
    trace,
    wanted::Asked,
};

const FORM: Form = Form {
    files: "images",
    alias: Some("image"),
    callback_url: true,
    known: "images, image, callback_url, mode, keys, language and engine",
};
/// The members of a JSON body.
const MEMBERS: [&str; 6] = ["image_url", "callback_url", "mode", "keys", "language", "engine"];

pub(crate) async fn asynchronous(State(door): State<Arc<Door>>, request: Request) -> Result<Response, Problem> {
    let base = Base::new(&door, request.headers());
    let trace = trace::of(request.headers());
    let submission = match json::media_type(request.headers()).as_str() {
        "application/json" => by_url(&door, request, trace).await?,
        "multipart/form-data" => by_upload(&door, request, trace).await?,
        _ => return Err(Problem::unsupported_media_type("application/json or multipart/form-data")),
    };
    let task = accept(&door, submission).await?;
    Ok(base.accepted(&task))
}

/// Nothing is fetched here: that happens behind the documents queue.
async fn by_url(door: &Door, request: Request, trace: TraceParent) -> Result<Submission, Problem> {
    let body = json::members(door, request, &MEMBERS).await?;
    let url = json::url(door, &body, "image_url")?.ok_or_else(|| Problem::missing_field("image_url"))?;
    let callback_url = json::url(door, &body, "callback_url")?;
    let assigned = door.routing.admit(&door.home, Asked::of(&body)?.wanted()?).await??;
    let content = Content::Pending { name: None, source: Source::Url { url } };
    Ok(Submission::new(assigned, content, callback_url, trace))
}

async fn by_upload(door: &Arc<Door>, request: Request, trace: TraceParent) -> Result<Submission, Problem> {
    let uploads = form::receive(door, request, &FORM, door.settings.max_files).await?;
    let callback_url = uploads.callback_url.map(|url| door.callable("callback_url", &url)).transpose()?;
    let assigned = door.routing.admit(&door.home, uploads.asked.wanted()?).await??;
    let files = check(door, uploads.files).await;
    if files.iter().all(|file| file.file.is_err())
        && let Some(failure) = files.iter().find_map(|file| file.file.as_ref().err())
    {
        return Err(Problem::from(failure.clone()).at("#/images/0"));
    }
    Ok(Submission::new(assigned, Content::Files(files), callback_url, trace))
}
