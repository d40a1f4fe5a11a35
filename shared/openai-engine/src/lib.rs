//! An engine that reads pages through a server with an OpenAI-compatible API: vLLM, SGLang, `transformers serve` and
//! others.
//!
//! ```text
//! page ── PNG ──┐
//! mode ─ prompt ┴─ request ── POST ──> sse ── completion ──> lines ── parse_answer ──> page text
//!                              │ ▲            └ repetition: closes the stream, which frees the server's slot
//!                              └─┴ retry: backoff, limited by the page's timeout and a retry budget
//! ```
//!
//! The server belongs to the operator, so that private addresses are allowed; redirects are not followed and proxies
//! not used. [`OpenAiEngine::read`] sends at most as many concurrent requests as the server reads in one batch; other
//! pages wait. All responses are limited in bytes and time. Errors contain at most a host and a port, and never text of
//! a response.
#![warn(missing_docs)]

mod classification;
mod completion;
mod engine;
mod error;
mod request;
mod response_reader;
mod retry;
mod settings;
mod sse;

pub use engine::OpenAiEngine;
pub use error::{OpenAiEngineError, ResponseFlaw};
pub use settings::{OpenAiEngineSettings, OpenAiSetupError};
pub use url::Url;
