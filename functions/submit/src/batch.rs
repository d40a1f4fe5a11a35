//! `POST /ocr/batch`: many documents, and an entry for each in the order sent. One bad file never fails the batch.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::HeaderValue,
    response::{IntoResponse, Response},
};
use quire_tasks::{Task, TraceParent};

use crate::{
    Door, Wanted,
    accept::{Content, Submission, accept, wait_until},
    answer::{DocumentAnswer, documents},
    check::{Checked, check},
    form::{self, Form, Upload},
    link::{Base, TASK_ID},
    problem::Problem,
    routing::Assigned,
    trace,
};

const FORM: Form =
    Form { files: "images", alias: None, callback_url: false, known: "images, mode, keys, language and engine" };

pub(crate) async fn batch(State(door): State<Arc<Door>>, request: Request) -> Result<Response, Problem> {
    let base = Base::new(&door, request.headers());
    let trace = trace::of(request.headers());
    let uploads = form::receive(&door, request, &FORM, door.settings.max_files).await?;
    let assigned = door.routing.admit(&door.home, uploads.asked.wanted()?).await??;
    let task = match make(&door, assigned, uploads.files, trace).await? {
        Batch::Refused(entries) => return Ok(Json(entries).into_response()),
        Batch::Accepted(task) => task,
    };
    let id = task.id;
    let task = wait_until(&door, task, door.settings.sync_limit, |task| task.status().ended()).await;
    let task = task.map_err(|error| Problem::from(error).of(id))?;
    if !task.status().ended() {
        return Ok(base.accepted(&task));
    }
    let documents = documents(&door.home, &task).await.map_err(|error| Problem::from(error).of(id))?;
    let id = HeaderValue::from_str(&id.to_string()).expect("a task id is plain");
    Ok(([(TASK_ID, id)], Json(documents)).into_response())
}

/// What became of a batch at the door.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for a request")]
pub enum Batch {
    /// It is a task now; what was refused of it are failed documents of that task.
    Accepted(Task),
    /// Every document was refused, or there was none: there is no task, and these are the entries of its answer.
    Refused(Vec<DocumentAnswer>),
}

/// Checks uploads and makes a task of those that are documents: `POST /ocr/batch` without HTTP. The task is stored when
/// this returns.
///
/// # Errors
/// [`quire_routes::NotOffered`] when nobody here reads like that, or any [`quire_platform::Error`]; then nothing was
/// stored.
pub async fn submit(door: &Arc<Door>, uploads: Vec<Upload>, wanted: Wanted) -> anyhow::Result<Batch> {
    let assigned = door.routing.admit(&door.home, wanted).await??;
    Ok(make(door, assigned, uploads, trace::new()).await?)
}

async fn make(
    door: &Arc<Door>,
    assigned: Assigned,
    uploads: Vec<Upload>,
    trace: TraceParent,
) -> quire_platform::Result<Batch> {
    let files = check(door, uploads).await;
    if files.iter().any(|Checked { file, .. }| file.is_ok()) {
        let submission = Submission::new(assigned, Content::Files(files), None, trace);
        return accept(door, submission).await.map(Batch::Accepted);
    }
    let refused =
        |(number, Checked { name, file })| file.err().map(|failure| DocumentAnswer::refused(number, name, failure));
    Ok(Batch::Refused((1..).zip(files).filter_map(refused).collect()))
}
