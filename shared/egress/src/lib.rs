//! HTTP requests to URLs from untrusted sources: downloads of documents, and callbacks (webhooks).
//!
//! Protects against server-side request forgery (SSRF): a URL must not reach our own network. [`Client::check`] refuses
//! a URL by its text when it is submitted. When a connection is made, the resolver checks the addresses of the host
//! name again, because they may have changed (DNS rebinding). An [`AllowList`] names private networks and hosts that
//! may be called nevertheless. A download follows a few redirects, each of which is checked like the first URL; a
//! callback follows none. There are no proxies and no cookies, and every response is limited in bytes, decoded bytes
//! and time. Errors contain at most a host, a port and a short text from the response, never a path, a query, or what
//! the resolver has found.

#![warn(missing_docs)]

mod address;
mod allow;
mod client;
mod encoding;
mod error;
mod fetch;
mod options;
mod policy;
mod post;
mod received;
mod resolver;

pub use address::forbidden;
pub use allow::{AllowList, InvalidAllowList};
pub use client::Client;
pub use error::{EgressSetupError, FetchError, PostError, is_transient_status};
pub use fetch::{Fetched, MAX_REDIRECTS};
pub use options::EgressOptions;
pub use policy::{EgressPolicy, MAX_URL_LENGTH, UrlRefused};
pub use post::{PostResponse, retry_after};
pub use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
pub use resolver::Resolve;
pub use url::Url;
