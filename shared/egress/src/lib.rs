//! HTTP requests to URLs from untrusted sources: downloads of documents, and callbacks (webhooks).
//!
//! Protects against server-side request forgery (SSRF): a URL must not reach our own network. [`Client::check`] refuses
//! a URL by its text when it is submitted. When a connection is made, the resolver checks the addresses of the host
//! name again, because they may have changed (DNS rebinding). There are no redirects, proxies, cookies or compression,
//! and every response is limited in bytes and time. Errors contain at most a host and a port, and never a path or a
//! query.

#![warn(missing_docs)]

mod address;
mod client;
mod error;
mod fetch;
mod policy;
mod post;
mod resolver;

pub use address::forbidden;
pub use client::Client;
pub use error::{EgressSetupError, FetchError, PostError, is_transient_status};
pub use policy::{EgressPolicy, MAX_URL_LENGTH, UrlRefused};
pub use post::{PostResponse, retry_after};
pub use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
pub use resolver::Resolve;
pub use url::Url;
