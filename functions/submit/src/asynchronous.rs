//! `POST /ocr/async`: a task and where to ask for it, at once.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use quire_tasks::Source;

use crate::{
    Door,
    accept::{Content, Submission, accept},
    check::check,
    form::{self, Form},
    json,
    link::Base,
    problem::Problem,
    trace,
};

const FORM: Form =
    Form { files: "images", alias: Some("image"), callback_url: true, known: "images, image and callback_url" };
/// The members of a JSON body.
const MEMBERS: [&str; 2] = ["image_url", "callback_url"];

pub(crate) async fn asynchronous(State(door): State<Arc<Door>>, request: Request) -> Result<Response, Problem> {
    let base = Base::new(&door, request.headers());
    let trace = trace::of(request.headers());
    let (content, callback_url) = match json::media_type(request.headers()).as_str() {
        "application/json" => by_url(&door, request).await?,
        "multipart/form-data" => by_upload(&door, request).await?,
        _ => return Err(Problem::unsupported_media_type("application/json or multipart/form-data")),
    };
    let task = accept(&door, Submission::new(content, callback_url, trace)).await?;
    Ok(base.accepted(&task))
}

/// Nothing is fetched here: that happens behind the documents queue.
async fn by_url(door: &Door, request: Request) -> Result<(Content, Option<String>), Problem> {
    let body = json::members(door, request, &MEMBERS).await?;
    let url = json::url(door, &body, "image_url")?.ok_or_else(|| Problem::missing_field("image_url"))?;
    let callback_url = json::url(door, &body, "callback_url")?;
    Ok((Content::Pending { name: None, source: Source::Url { url } }, callback_url))
}

async fn by_upload(door: &Arc<Door>, request: Request) -> Result<(Content, Option<String>), Problem> {
    let uploads = form::receive(door, request, &FORM, door.settings.max_files).await?;
    let callback_url = uploads.callback_url.map(|url| door.callable("callback_url", &url)).transpose()?;
    let files = check(door, uploads.files).await;
    if files.iter().all(|file| file.file.is_err())
        && let Some(failure) = files.iter().find_map(|file| file.file.as_ref().err())
    {
        return Err(Problem::from(failure.clone()).at("#/images/0"));
    }
    Ok((Content::Files(files), callback_url))
}
