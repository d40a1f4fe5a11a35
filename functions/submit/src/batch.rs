//! `POST /ocr/batch`: many documents, and an entry for each in the order sent. One bad file never fails the batch.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::HeaderValue,
    response::{IntoResponse, Response},
};
use quire_tasks::{Task, Tenant};

use crate::{
    Door, Wanted,
    accept::{Content, Submission, accept, ended},
    answer::{DocumentAnswer, documents},
    caller::Caller,
    check::{Checked, check},
    create::{Call, NoTask},
    fields::USUAL,
    form::{Form, Upload},
    link::TASK_ID,
    options::Options,
    problem::Problem,
    task::not_found,
    ticket::Ticket,
    trace,
};

const PATH: &str = "/ocr/batch";
const FORM: Form = Form { files: "images", alias: None, fields: &USUAL };

pub(crate) async fn batch(
    State(door): State<Arc<Door>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let call = Call::new(&door, PATH, caller, request.headers())?;
    let (order, files) = call.form(&door, request, &FORM, door.settings.max_files).await?;
    let content = async |_| {
        let refused = |entries: Vec<DocumentAnswer>| NoTask::Answered(Json(entries).into_response());
        checked(&door, files).await.map_err(refused)
    };
    call.create(&door, order, content, |task| answer(&door, &call, task)).await
}

async fn answer(door: &Door, call: &Call, task: Task) -> Result<Response, Problem> {
    let id = task.id;
    let task = ended(door, task).await?;
    if !task.status().ended() {
        return Ok(call.base.accepted(&task));
    }
    let documents = documents(&door.backend, &task).await.map_err(|error| not_found(error).of(id))?;
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
    let ticket = Ticket::unkeyed();
    let read_as = door.routing.assign(&door.backend, ticket.task_id, wanted).await??;
    let content = match checked(door, uploads).await {
        Ok(content) => content,
        Err(entries) => return Ok(Batch::Refused(entries)),
    };
    let (tenant, options, trace) = (Tenant::default(), Options::default(), trace::new());
    let (task, _) = accept(door, Submission { tenant, read_as, content, options, trace }, ticket).await?;
    Ok(Batch::Accepted(task))
}

/// The documents among the uploads with what was refused beside them; where there are none, the entries of the answer.
async fn checked(door: &Arc<Door>, uploads: Vec<Upload>) -> Result<Content, Vec<DocumentAnswer>> {
    let files = check(door, uploads).await;
    if files.iter().any(|Checked { file, .. }| file.is_ok()) {
        return Ok(Content::Files(files));
    }
    let refused =
        |(number, Checked { name, file })| file.err().map(|failure| DocumentAnswer::refused(number, name, failure));
    Err((1..).zip(files).filter_map(refused).collect())
}
