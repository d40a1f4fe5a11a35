//! Which URLs and addresses are allowed.

use std::net::IpAddr;

use url::{Host, Url};

use crate::{
    AllowList,
    allow::{Listed, is_metadata_name},
    forbidden,
};

/// The longest URL, in bytes. Many proxies refuse longer ones.
pub const MAX_URL_LENGTH: usize = 2048;

/// Why a host name is refused, whether it does not exist or all its addresses are refused: the difference would reveal
/// the names of a private network.
const NO_PUBLIC_ADDRESS: &str = "it has no address on the public internet";

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
        /// The kind of address, for an address in the URL; nothing that only DNS knows.
        why: &'static str,
    },
    /// A redirect leads from https to http, or to a URL that is refused.
    #[error("it redirects to a URL that is not allowed: {0}")]
    Redirect(Box<UrlRefused>),
    /// There are more redirects than allowed.
    #[error("it redirects more than {0} times")]
    TooManyRedirects(usize),
}

impl UrlRefused {
    /// Returns the refusal of a host name that cannot be resolved to an allowed address.
    pub(crate) fn unresolved(host: &str) -> Self {
        Self::Address { host: host.to_owned(), why: NO_PUBLIC_ADDRESS }
    }
}

/// Which URLs are allowed in addition to `https` URLs on the public internet. Default: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    /// Allows loopback addresses, also by plain HTTP. For development only: customers can then reach all services on
    /// the machine by a URL.
    pub allow_loopback_http: bool,
}

/// The policy with the operator's allow-list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub(crate) policy: EgressPolicy,
    pub(crate) allow: AllowList,
}

impl Rules {
    /// Returns why `address` is refused as an address of `host`, or `None` if it is allowed.
    pub(crate) fn refusal_reason(&self, host: &str, address: IpAddr) -> Option<&'static str> {
        let loopback = address.to_canonical().is_loopback();
        if (self.policy.allow_loopback_http && loopback) || self.allow.allows(host, address) {
            return None;
        }
        // Plain HTTP is allowed for localhost names only because they resolve to loopback addresses.
        let is_spoofed_localhost = is_localhost(host) && !loopback;
        forbidden(address).or(is_spoofed_localhost.then_some("a name for loopback with another address"))
    }

    pub(crate) fn check_host(&self, url: &Url) -> Result<(), UrlRefused> {
        let host = url.host().ok_or(UrlRefused::Malformed)?;
        let listed = self.allow.lists_url(url);
        let is_other_port = listed == Listed::OtherPort;
        let why = match host {
            Host::Ipv4(address) => self.literal_refusal(address.into(), listed),
            Host::Ipv6(address) => self.literal_refusal(address.into(), listed),
            Host::Domain(name) if is_metadata_name(name) => Some("a metadata service"),
            Host::Domain(_) if is_other_port => Some("its port is not allowed"),
            Host::Domain(name) if is_localhost(name) => {
                let is_allowed = self.policy.allow_loopback_http || listed == Listed::Allowed;
                (!is_allowed).then_some("a name for loopback")
            }
            Host::Domain(_) => None,
        };
        why.map_or(Ok(()), |why| Err(UrlRefused::Address { host: host.to_string(), why }))
    }

    /// Returns why an address in a URL is refused.
    fn literal_refusal(&self, address: IpAddr, listed: Listed) -> Option<&'static str> {
        let is_listed = listed == Listed::Allowed && self.allow.allows(&host_text(address), address);
        if is_listed { None } else { self.refusal_reason("", address) }
    }

    pub(crate) fn check_scheme(&self, url: &Url) -> Result<(), UrlRefused> {
        let loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
            Some(Host::Domain(name)) => is_localhost(name),
            None => false,
        };
        match url.scheme() {
            "https" => Ok(()),
            "http" if self.policy.allow_loopback_http && loopback => Ok(()),
            // Private services often have no certificate, and the operator has listed this one.
            "http" if self.allow.lists_url(url) == Listed::Allowed => Ok(()),
            _ => Err(UrlRefused::Scheme),
        }
    }
}

/// Returns an address as a URL has it.
fn host_text(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// Returns whether the name is reserved for loopback (RFC 6761, section 6.3).
fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}
