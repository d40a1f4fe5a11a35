//! Page images to text by a server with an API such as `OpenAI`'s: vLLM, SGLang, `transformers serve` and others.
//!
//! ```text
//! page ── PNG ──┐
//! mode ─ prompt ┴─ request ── POST ──> sse ── answer ──> lines ── page_of_answer ──> page text
//!                              │ ▲               └ goes round in circles: the stream is closed, the server's slot is free
//!                              └─┴ patience: waits, bounded by time and by a share of all calls
//! ```
//!
//! It is the operator's own server, so that private addresses are fine; but no redirect is followed and no proxy asked.
//! [`Remote::read`] keeps as many pages open as the server reads at once, the others wait. Everything that is read of an
//! answer is bounded in bytes and time. Errors name a host and a port at most, and nothing that a server says of a page.
#![warn(missing_docs)]

mod answer;
mod error;
mod patience;
mod reader;
mod remote;
mod request;
mod settings;
mod sse;
mod verdict;

pub use error::{Flaw, RemoteError};
pub use remote::Remote;
pub use settings::{Dialect, RemoteSettings, SetupError};
pub use url::Url;
