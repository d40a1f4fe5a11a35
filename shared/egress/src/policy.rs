//! Which URLs and addresses are allowed.

use std::net::IpAddr;

use url::{Host, Url};

use crate::forbidden;

/// The longest URL, in bytes. Many proxies refuse longer ones.
pub const MAX_URL_LENGTH: usize = 2048;

/// Why a URL is refused. Decision: never retry; report the error to the customer who configured the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefused {
    /// It cannot be parsed as an absolute URL.
    #[error("not a URL")]
    Malformed,
    /// It is longer than [`MAX_URL_LENGTH`].
    #[error("longer than {} characters", MAX_URL_LENGTH)]
    TooLong,
    /// Its scheme is not `https`.
    #[error("only https URLs are allowed")]
    Scheme,
    /// It has a user name or a password, which would end up in logs and tables.
    #[error("a URL must not have a user name or a password")]
    Credentials,
    /// Its port is 0.
    #[error("port 0 is not a valid port")]
    Port,
    /// Its address, or every address of its host name, is not on the public internet (protection against SSRF).
    #[error("{host} is refused: {why}")]
    Address {
        /// The host in the URL.
        host: String,
        /// The kind of address.
        why: &'static str,
    },
}

/// Which URLs are allowed in addition to `https` URLs on the public internet. Default: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    /// Allows loopback addresses, also by plain HTTP. For development only: customers can then reach all services on
    /// the machine by a URL.
    pub allow_loopback_http: bool,
}

impl EgressPolicy {
    /// Returns why `address` is refused as an address of `host`, or `None` if it is allowed.
    pub(crate) fn refusal_reason(self, host: &str, address: IpAddr) -> Option<&'static str> {
        let loopback = address.to_canonical().is_loopback();
        if self.allow_loopback_http && loopback {
            return None;
        }
        // Plain HTTP is allowed for localhost names only because they resolve to loopback addresses.
        let is_spoofed_localhost = is_localhost(host) && !loopback;
        forbidden(address).or(is_spoofed_localhost.then_some("a name for loopback with another address"))
    }

    pub(crate) fn check_host(self, url: &Url) -> Result<(), UrlRefused> {
        let host = url.host().ok_or(UrlRefused::Malformed)?;
        let why = match host {
            Host::Ipv4(address) => self.refusal_reason("", address.into()),
            Host::Ipv6(address) => self.refusal_reason("", address.into()),
            Host::Domain(name) if is_localhost(name) && !self.allow_loopback_http => Some("a name for loopback"),
            Host::Domain(_) => None,
        };
        why.map_or(Ok(()), |why| Err(UrlRefused::Address { host: host.to_string(), why }))
    }

    pub(crate) fn check_scheme(self, url: &Url) -> Result<(), UrlRefused> {
        let loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
            Some(Host::Domain(name)) => is_localhost(name),
            None => false,
        };
        match url.scheme() {
            "https" => Ok(()),
            "http" if self.allow_loopback_http && loopback => Ok(()),
            _ => Err(UrlRefused::Scheme),
        }
    }
}

/// Returns whether the name is reserved for loopback (RFC 6761, section 6.3).
fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}
