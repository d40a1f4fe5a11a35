//! `POST /ocr/async`: a task and where to ask for it, at once.

use std::sync::Arc;

use axum::{
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderMap, header},
    response::Response,
};
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::{
    Door,
    accept::{Submission, accept},
    check::check,
    link::Base,
    problem::Problem,
    upload::{self, Form},
};

const FORM: Form =
    Form { files: "images", alias: Some("image"), callback_url: true, known: "images, image and callback_url" };
/// The members of a JSON body.
const MEMBERS: [&str; 2] = ["image_url", "callback_url"];
/// Two URLs of the longest kind, with every character escaped.
const MAX_JSON_BYTES: usize = 64 << 10;

pub(crate) async fn asynchronous(State(door): State<Arc<Door>>, request: Request) -> Result<Response, Problem> {
    let base = Base::new(&door, request.headers());
    let (submission, callback_url) = match media_type(request.headers()).as_str() {
        "application/json" => by_url(&door, request).await?,
        "multipart/form-data" => by_upload(&door, request).await?,
        _ => return Err(Problem::unsupported_media_type("application/json or multipart/form-data")),
    };
    let task = accept(&door, submission, callback_url).await?;
    Ok(base.accepted(&task))
}

/// Nothing is fetched here: that happens behind the documents queue.
async fn by_url(door: &Door, request: Request) -> Result<(Submission, Option<String>), Problem> {
    let bytes = timeout(door.settings.idle_limit, to_bytes(request.into_body(), MAX_JSON_BYTES)).await;
    let bytes = bytes.map_err(|_| Problem::upload_stalled())?.map_err(|_| {
        Problem::malformed_json(format!("The body broke off, or has more than {MAX_JSON_BYTES} bytes."))
    })?;
    let body: Map<String, Value> = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::malformed_json(format!("The body is no JSON object (line {}).", error.line())))?;
    if let Some(unknown) = body.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(Problem::unknown_field(unknown, &MEMBERS.join(" and ")));
    }
    let image_url = url(door, &body, "image_url")?.ok_or_else(|| Problem::missing_field("image_url"))?;
    Ok((Submission::Url(image_url), url(door, &body, "callback_url")?))
}

/// A member that is a URL we may call; `null` is as good as nothing.
fn url(door: &Door, body: &Map<String, Value>, name: &str) -> Result<Option<String>, Problem> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(url)) => checked(door, name, url).map(Some),
        Some(_) => Err(Problem::invalid_field(name, "The field is no string.")),
    }
}

fn checked(door: &Door, name: &str, url: &str) -> Result<String, Problem> {
    let url = door.egress.check(url).map_err(|why| Problem::url_refused(name, &why))?;
    Ok(url.into())
}

async fn by_upload(door: &Arc<Door>, request: Request) -> Result<(Submission, Option<String>), Problem> {
    let uploads = upload::receive(door, request, &FORM, door.settings.max_files).await?;
    let callback_url = uploads.callback_url.map(|url| checked(door, "callback_url", &url)).transpose()?;
    let files = check(door, uploads.files).await;
    if files.iter().all(|file| file.file.is_err())
        && let Some(failure) = files.iter().find_map(|file| file.file.as_ref().err())
    {
        return Err(Problem::from(failure.clone()).at("#/images/0"));
    }
    Ok((Submission::Files(files), callback_url))
}

/// The content type without its parameters.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
