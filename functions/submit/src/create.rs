//! What all calls that make a task have in common: from the fields of a request to its answer, once for each
//! `Idempotency-Key`.

use std::{future::Future, sync::Arc};

use axum::{extract::Request, http::HeaderMap, response::Response};
use quire_tasks::{Task, TaskId, Tenant, TraceParent};
use serde_json::{Map, Value};

use crate::{
    Door, Wanted,
    accept::{Content, Submission, accept},
    caller::Caller,
    form::{self, Form, Upload, Uploads},
    idempotency::{self, Key, replayed},
    json,
    link::Base,
    options::Options,
    problem::Problem,
    ticket::{Entry, Ticket, enter},
    trace,
};

/// A call that makes a task: what its headers say.
#[derive(Debug)]
pub(crate) struct Call {
    path: &'static str,
    tenant: Tenant,
    pub(crate) base: Base,
    trace: TraceParent,
    key: Option<Key>,
}

/// What a call is to make: what its fields say.
#[derive(Debug)]
pub(crate) struct Order {
    wanted: Wanted,
    options: Options,
    /// Of a call with a key.
    fingerprint: Option<String>,
}

impl Call {
    /// The call of this path by a request with these headers.
    pub(crate) fn new(
        door: &Door,
        path: &'static str,
        Caller { tenant, .. }: Caller,
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        let key = Key::of(&tenant, headers)?;
        Ok(Self { path, tenant, base: Base::new(door, headers), trace: trace::of(headers), key })
    }

    /// What it asks for as JSON, and all members of its body, of which there are no others than `own` and `shared`.
    pub(crate) async fn json(
        &self,
        door: &Door,
        request: Request,
        own: &[&str],
        shared: &[&str],
    ) -> Result<(Order, Map<String, Value>), Problem> {
        let members = json::members(door, request, &[own, shared].concat()).await?;
        Ok((self.order(door, &members, &Uploads::default()).await?, members))
    }

    /// What it asks for by a form, and the files in it.
    pub(crate) async fn form(
        &self,
        door: &Door,
        request: Request,
        form: &Form,
        max_files: usize,
    ) -> Result<(Order, Vec<Upload>), Problem> {
        let mut uploads = form::receive(door, request, form, max_files, self.key.is_some()).await?;
        let fields = std::mem::take(&mut uploads.fields);
        Ok((self.order(door, &fields, &uploads).await?, uploads.files))
    }

    async fn order(&self, door: &Door, fields: &Map<String, Value>, uploads: &Uploads) -> Result<Order, Problem> {
        let (wanted, options) = (Wanted::of(fields)?, Options::of(door, &self.base, fields).await?);
        let fingerprint = self.key.is_some().then(|| {
            let names = uploads.files.iter().map(|upload| upload.name.as_deref());
            idempotency::fingerprint(self.path, fields, names.zip(&uploads.digests))
        });
        Ok(Order { wanted, options, fingerprint })
    }

    /// Makes the task of an order, and answers with it; one that was made before by a request with the same key is
    /// answered again. `content` says what the task is made of, or why there is none.
    pub(crate) async fn create<C, A>(
        &self,
        door: &Arc<Door>,
        order: Order,
        content: impl FnOnce(TaskId) -> C,
        answer: impl FnOnce(Task) -> A,
    ) -> Result<Response, Problem>
    where
        C: Future<Output = Result<Content, NoTask>>,
        A: Future<Output = Result<Response, Problem>>,
    {
        let Order { wanted, options, fingerprint } = order;
        let entry = match self.key.as_ref().zip(fingerprint) {
            Some((key, fingerprint)) => enter(door, key, fingerprint).await?,
            None => Entry::unkeyed(),
        };
        let ticket = match entry {
            Entry::First(ticket) => ticket,
            Entry::Again(task) => return Ok(replayed(answer(task).await)),
        };
        let prepared = async {
            let read_as = door.routing.assign(&door.backend, ticket.task_id, wanted).await??;
            Ok::<_, NoTask>((read_as, content(ticket.task_id).await?))
        };
        let (read_as, content) = match prepared.await {
            Ok(prepared) => prepared,
            Err(none) => return none.answer(ticket).await,
        };
        let (tenant, trace) = (self.tenant.clone(), self.trace);
        let submission = Submission { tenant, read_as, content, options, trace };
        let (task, ticket) = accept(door, submission, ticket).await?;
        let answered = answer(task).await;
        ticket.settle().await;
        answered
    }
}

/// Why a request makes no task.
#[derive(Debug)]
pub(crate) enum NoTask {
    /// It is refused.
    Refused(Problem),
    /// There is nothing to be read in it, and this says so.
    Answered(Response),
}

impl NoTask {
    /// The answer, when the key is free again: what is corrected may be sent with the same one.
    async fn answer(self, ticket: Ticket) -> Result<Response, Problem> {
        ticket.settle().await;
        match self {
            Self::Refused(problem) => Err(problem),
            Self::Answered(response) => Ok(response),
        }
    }
}

impl<P: Into<Problem>> From<P> for NoTask {
    fn from(problem: P) -> Self {
        Self::Refused(problem.into())
    }
}
