//! What all calls that make a task have in common: from the fields of a request to its answer, once for each
//! `Idempotency-IdempotencyKey`.

use std::{future::Future, sync::Arc};

use axum::{extract::Request, http::HeaderMap, response::Response};
use quire_tasks::{Task, TaskId, Tenant, TraceParent};
use serde_json::{Map, Value};

use crate::{
    documents::validation::UploadedFile,
    http::{
        form::{self, FormSpec, ReceivedForm},
        idempotency_key::{self, IdempotencyKey, replayed},
        json,
        principal::Principal,
        problem::{Problem, not_found},
        read_options::parse_read_options,
        task_options::parse_task_options,
        trace::trace_of,
        urls::BaseUrl,
    },
    state::AppState,
    tasks::{
        create_task::create_task,
        idempotency::{IdempotencyGuard, KeyedRequest, enter},
        options::{ReadOptions, TaskOptions},
        submission::{Submission, TaskContent},
        wait::wait_until,
    },
    time::now,
};

/// A call that makes a task: what its headers say.
#[derive(Debug)]
pub(crate) struct CreateRequest {
    path: &'static str,
    tenant: Tenant,
    pub(crate) base: BaseUrl,
    trace: TraceParent,
    key: Option<IdempotencyKey>,
}

/// What a call is to make: what its fields say.
#[derive(Debug)]
pub(crate) struct TaskSpec {
    wanted: ReadOptions,
    options: TaskOptions,
    /// Of a call with a key.
    fingerprint: Option<String>,
}

impl CreateRequest {
    /// The call of this path by a request with these headers.
    pub(crate) fn new(
        app: &AppState,
        path: &'static str,
        Principal { tenant, .. }: Principal,
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        let key = IdempotencyKey::of(&tenant, headers)?;
        Ok(Self { path, tenant, base: BaseUrl::new(app, headers), trace: trace_of(headers), key })
    }

    /// What it asks for as JSON, and all members of its body, of which there are no others than `own` and `shared`.
    pub(crate) async fn json(
        &self,
        app: &AppState,
        request: Request,
        own: &[&str],
        shared: &[&str],
    ) -> Result<(TaskSpec, Map<String, Value>), Problem> {
        let members = json::members(app, request, &[own, shared].concat()).await?;
        Ok((self.order(app, &members, &ReceivedForm::default()).await?, members))
    }

    /// What it asks for by a form, and the files in it.
    pub(crate) async fn form(
        &self,
        app: &AppState,
        request: Request,
        form: &FormSpec,
        max_files: usize,
    ) -> Result<(TaskSpec, Vec<UploadedFile>), Problem> {
        let mut uploads = form::receive(app, request, form, max_files, self.key.is_some()).await?;
        let fields = std::mem::take(&mut uploads.fields);
        Ok((self.order(app, &fields, &uploads).await?, uploads.files))
    }

    async fn order(
        &self,
        app: &AppState,
        fields: &Map<String, Value>,
        uploads: &ReceivedForm,
    ) -> Result<TaskSpec, Problem> {
        let (wanted, options) = (parse_read_options(fields)?, parse_task_options(app, &self.base, fields).await?);
        let fingerprint = self.key.is_some().then(|| {
            let names = uploads.files.iter().map(|upload| upload.name.as_deref());
            idempotency_key::fingerprint(self.path, fields, names.zip(&uploads.digests))
        });
        Ok(TaskSpec { wanted, options, fingerprint })
    }

    /// Makes the task of an order, and answers with it; one that was made before by a request with the same key is
    /// answered again. `content` says what the task is made of, or why there is none.
    pub(crate) async fn create<C, A>(
        &self,
        app: &Arc<AppState>,
        order: TaskSpec,
        content: impl FnOnce(TaskId) -> C,
        answer: impl FnOnce(Task) -> A,
    ) -> Result<Response, Problem>
    where
        C: Future<Output = Result<TaskContent, CreateRejection>>,
        A: Future<Output = Result<Response, Problem>>,
    {
        let TaskSpec { wanted, options, fingerprint } = order;
        let entry = match self.key.as_ref().zip(fingerprint) {
            Some((key, fingerprint)) => enter(app, &key.0, fingerprint).await?,
            None => KeyedRequest::unkeyed(),
        };
        let ticket = match entry {
            KeyedRequest::First(ticket) => ticket,
            KeyedRequest::Again(task) => return Ok(replayed(answer(task).await)),
        };
        let prepared = async {
            let read_as = app.routing.assign(&app.backend, ticket.task_id, wanted).await??;
            Ok::<_, CreateRejection>((read_as, content(ticket.task_id).await?))
        };
        let (read_as, content) = match prepared.await {
            Ok(prepared) => prepared,
            Err(none) => return none.answer(ticket).await,
        };
        let (tenant, trace) = (self.tenant.clone(), self.trace);
        let submission = Submission { tenant, read_as, content, options, trace };
        let (task, ticket) = create_task(app, submission, ticket).await?;
        let answered = answer(task).await;
        ticket.settle().await;
        answered
    }
}

/// Why a request makes no task.
#[derive(Debug)]
pub(crate) enum CreateRejection {
    /// It is refused.
    Refused(Problem),
    /// There is nothing to be read in it, and this says so.
    Answered(Response),
}

impl CreateRejection {
    /// The answer, when the key is free again: what is corrected may be sent with the same one.
    async fn answer(self, ticket: IdempotencyGuard) -> Result<Response, Problem> {
        ticket.settle().await;
        match self {
            Self::Refused(problem) => Err(problem),
            Self::Answered(response) => Ok(response),
        }
    }
}

impl<P: Into<Problem>> From<P> for CreateRejection {
    fn from(problem: P) -> Self {
        Self::Refused(problem.into())
    }
}

/// The task when it has ended, or as it is when a client that waits for it has waited long enough.
pub(crate) async fn ended(app: &AppState, task: Task) -> Result<Task, Problem> {
    let id = task.id;
    let task = wait_until(app, task, app.settings.sync_limit, |task| task.status().ended()).await;
    let task = task.map_err(|error| not_found(error).of(id))?;
    // Its customer no longer wants it.
    if task.expired(now()) { Err(Problem::task_not_found().of(id)) } else { Ok(task) }
}
