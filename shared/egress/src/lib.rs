//! HTTP to strangers' addresses: documents are fetched from them, callbacks are posted to them.
//!
//! A stranger who names an address must not make us talk to our own network. So [`Client::check`] refuses a URL at the
//! door by what can be seen in it, and the resolver refuses it again when a connection is made, by the addresses that
//! its name has at that moment: what a name meant earlier says nothing. No redirects, no proxy, no cookies, no
//! compression; every answer is bounded in bytes and time. Errors name a host and a port at most, never a path or a
//! query.

#![warn(missing_docs)]

mod address;
mod client;
mod error;
mod fetch;
mod post;
mod resolver;

pub use address::forbidden;
pub use client::{Client, MAX_URL_LENGTH, Policy};
pub use error::{FetchError, PostError, Refused, SetupError, is_transient_status};
pub use post::{Answer, retry_after};
pub use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
pub use resolver::Resolve;
pub use url::Url;
