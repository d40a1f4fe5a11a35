//! The HTTP API: one file per call, named after it, and what the calls share.
//!
//! It depends on `tasks` and `documents`, and neither depends on it.

pub(crate) mod asynchronous;
pub(crate) mod auth;
pub(crate) mod batch;
pub(crate) mod cancel;
pub(crate) mod composed;
pub(crate) mod create;
pub(crate) mod cursor;
pub(crate) mod delete;
pub(crate) mod deliveries;
pub(crate) mod drain_body;
pub(crate) mod endpoints;
pub(crate) mod engines;
pub(crate) mod fields;
pub(crate) mod form;
pub(crate) mod healthz;
pub(crate) mod idempotency_key;
pub(crate) mod json;
pub(crate) mod list;
pub(crate) mod ocr;
pub(crate) mod openapi;
pub(crate) mod pages;
pub(crate) mod principal;
pub(crate) mod problem;
pub(crate) mod problem_codes;
pub(crate) mod problem_sources;
pub(crate) mod query;
pub(crate) mod rate_limit;
pub(crate) mod read_options;
pub(crate) mod refusals;
pub(crate) mod resend;
pub(crate) mod response_size;
pub(crate) mod result;
pub(crate) mod retry;
pub(crate) mod router;
pub(crate) mod scopes;
pub(crate) mod summary;
pub(crate) mod task;
pub(crate) mod task_options;
pub(crate) mod trace;
pub(crate) mod uploads;
pub(crate) mod urls;
pub(crate) mod webhooks;
