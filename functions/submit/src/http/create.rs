//! What all calls that create a task share: from the fields of a request to its response, once per `Idempotency-Key`.

use std::{future::Future, sync::Arc};

use axum::{extract::Request, http::HeaderMap, response::Response};
use quire_platform::now;
use quire_tasks::{Task, TaskId, Tenant, TraceParent};
use serde_json::{Map, Value};

use crate::{
    documents::validation::UploadedFile,
    http::{
        form::{self, FormSpec, ReceivedForm},
        idempotency_key::{self, IdempotencyKey, mark_replayed},
        json,
        principal::Principal,
        problem::Problem,
        problem_sources::task_problem,
        read_options::parse_read_options,
        task_options::parse_task_options,
        trace::trace_of,
        urls::BaseUrl,
    },
    state::AppState,
    tasks::{
        create_task::create_task,
        idempotency::{IdempotencyGuard, KeyedRequest, claim_key},
        options::{ReadOptions, TaskOptions},
        submission::{Submission, TaskContent},
        wait::wait_until,
    },
};

/// A request that creates a task: its path and headers.
#[derive(Debug)]
pub(crate) struct CreateRequest {
    path: &'static str,
    tenant: Tenant,
    pub(crate) base: BaseUrl,
    trace: TraceParent,
    key: Option<IdempotencyKey>,
}

/// What a request creates: its fields.
#[derive(Debug)]
pub(crate) struct TaskSpec {
    read_options: ReadOptions,
    task_options: TaskOptions,
    /// Present if the request has an `Idempotency-Key`.
    fingerprint: Option<String>,
}

impl CreateRequest {
    /// Parses the headers of a request to this path.
    pub(crate) fn new(
        app: &AppState,
        path: &'static str,
        Principal { tenant, .. }: Principal,
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        let key = IdempotencyKey::from_headers(&tenant, headers)?;
        Ok(Self { path, tenant, base: BaseUrl::new(app, headers), trace: trace_of(headers), key })
    }

    /// Returns the tenant that the request belongs to.
    pub(crate) const fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Parses a JSON body, whose members are `own` and `shared` only. Returns all members with the parsed fields.
    pub(crate) async fn parse_json(
        &self,
        app: &AppState,
        request: Request,
        own: &[&str],
        shared: &[&str],
    ) -> Result<(TaskSpec, Map<String, Value>), Problem> {
        let members = json::members(app, request, &[own, shared].concat()).await?;
        Ok((self.parse_spec(app, &members, &ReceivedForm::default()).await?, members))
    }

    /// Receives a multipart form. Returns its files with the parsed fields.
    pub(crate) async fn receive_form(
        &self,
        app: &AppState,
        request: Request,
        form: &FormSpec,
        max_files: usize,
    ) -> Result<(TaskSpec, Vec<UploadedFile>), Problem> {
        let mut received = form::receive(app, request, form, max_files, self.key.is_some()).await?;
        let fields = std::mem::take(&mut received.fields);
        Ok((self.parse_spec(app, &fields, &received).await?, received.files))
    }

    async fn parse_spec(
        &self,
        app: &AppState,
        fields: &Map<String, Value>,
        received: &ReceivedForm,
    ) -> Result<TaskSpec, Problem> {
        let read_options = parse_read_options(fields)?;
        let task_options = parse_task_options(app, &self.base, fields).await?;
        let fingerprint = self.key.is_some().then(|| {
            let names = received.files.iter().map(|file| file.name.as_deref());
            idempotency_key::fingerprint(self.path, fields, names.zip(&received.digests))
        });
        Ok(TaskSpec { read_options, task_options, fingerprint })
    }

    /// Creates the task and responds with `answer`. If an earlier request with the same key created a task, responds
    /// with that one. `content` returns what the task consists of, or why none is created.
    pub(crate) async fn create<C, A>(
        &self,
        app: &Arc<AppState>,
        spec: TaskSpec,
        content: impl FnOnce(TaskId) -> C,
        answer: impl FnOnce(Task) -> A,
    ) -> Result<Response, Problem>
    where
        C: Future<Output = Result<TaskContent, CreateRejection>>,
        A: Future<Output = Result<Response, Problem>>,
    {
        let TaskSpec { read_options, task_options: options, fingerprint } = spec;
        let claimed = match self.key.as_ref().zip(fingerprint) {
            Some((key, fingerprint)) => claim_key(app, &key.0, fingerprint).await?,
            None => KeyedRequest::unkeyed(),
        };
        let guard = match claimed {
            KeyedRequest::First(guard) => guard,
            KeyedRequest::Replay(task) => return Ok(mark_replayed(answer(task).await)),
        };
        let prepared = async {
            let read_as = app.routing.assign(&app.backend, guard.task_id, read_options).await??;
            Ok::<_, CreateRejection>((read_as, content(guard.task_id).await?))
        };
        let (read_as, content) = match prepared.await {
            Ok(prepared) => prepared,
            Err(rejection) => return rejection.answer(guard).await,
        };
        let submission = Submission { tenant: self.tenant.clone(), read_as, content, options, trace: self.trace };
        let (task, guard) = create_task(app, submission, guard).await?;
        let answered = answer(task).await;
        guard.finish().await;
        answered
    }
}

/// Why a request creates no task.
#[derive(Debug)]
pub(crate) enum CreateRejection {
    /// The request is refused.
    Refused(Problem),
    /// The request is valid, but has no valid document; this is its response.
    Answered(Response),
}

impl CreateRejection {
    /// Returns the response, after the key is released: the corrected request may use it again.
    async fn answer(self, guard: IdempotencyGuard) -> Result<Response, Problem> {
        guard.finish().await;
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

/// Waits until the task has ended, for at most `sync_limit`; returns its latest state.
pub(crate) async fn wait_for_end(app: &AppState, task: Task) -> Result<Task, Problem> {
    let id = task.id;
    let task = wait_until(app, task, app.settings.sync_limit, |task| task.status().ended()).await;
    let task = task.map_err(|error| task_problem(error).of(id))?;
    // Deleted by its tenant while it was waited for.
    if task.expired(now()) { Err(Problem::task_not_found().of(id)) } else { Ok(task) }
}
