//! The one client, and what may be asked of it.

use std::{error::Error, net::IpAddr, sync::Arc, time::Duration};

use reqwest::redirect;
use url::{Host, Url};

use crate::{
    PostError, Refused, Resolve, SetupError, forbidden,
    resolver::{Guard, System},
};

/// Longer URLs break at some proxy on the way anyway.
pub const MAX_URL_LENGTH: usize = 2048;
/// A host that is there answers within a round trip; the rest of the time belongs to the transfer.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const USER_AGENT: &str = concat!("quire/", env!("CARGO_PKG_VERSION"));

/// What is permitted beyond the public internet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// Loopback addresses, over plain HTTP too. For development only: every program on the machine is then within
    /// reach of whoever may name a URL.
    pub allow_loopback_http: bool,
}

impl Policy {
    /// Why `address` is refused as one of `host`.
    pub(crate) fn refuses(self, host: &str, address: IpAddr) -> Option<&'static str> {
        let loopback = address.to_canonical().is_loopback();
        if self.allow_loopback_http && loopback {
            return None;
        }
        // Plain HTTP is permitted to this name because of where it leads: it must lead nowhere else.
        let elsewhere = is_localhost(host) && !loopback;
        forbidden(address).or(elsewhere.then_some("a name for loopback that leads elsewhere"))
    }

    fn check_host(self, url: &Url) -> Result<(), Refused> {
        let host = url.host().ok_or(Refused::Malformed)?;
        let why = match host {
            Host::Ipv4(address) => self.refuses("", address.into()),
            Host::Ipv6(address) => self.refuses("", address.into()),
            Host::Domain(name) if is_localhost(name) && !self.allow_loopback_http => Some("a name for loopback"),
            Host::Domain(_) => None,
        };
        why.map_or(Ok(()), |why| Err(Refused::Address { host: host.to_string(), why }))
    }

    fn check_scheme(self, url: &Url) -> Result<(), Refused> {
        let loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
            Some(Host::Domain(name)) => is_localhost(name),
            None => false,
        };
        match url.scheme() {
            "https" => Ok(()),
            "http" if self.allow_loopback_http && loopback => Ok(()),
            _ => Err(Refused::Scheme),
        }
    }
}

/// Names that mean loopback everywhere (RFC 6761).
fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// An HTTP client for strangers' addresses. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    policy: Policy,
    pub(crate) http: reqwest::Client,
}

impl Client {
    /// A client that asks the system's resolver.
    ///
    /// # Errors
    /// [`SetupError`] where HTTPS cannot be spoken.
    pub fn new(policy: Policy) -> Result<Self, SetupError> {
        Self::with_resolver(policy, Arc::new(System))
    }

    /// A client that asks `resolver`; its answers are checked as the system's are.
    ///
    /// # Errors
    /// [`SetupError`] where HTTPS cannot be spoken.
    pub fn with_resolver(policy: Policy, resolver: Arc<dyn Resolve>) -> Result<Self, SetupError> {
        // An error says that the process has a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .dns_resolver(Guard { policy, resolver })
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_LIMIT)
            // Each request makes its own connection: its address is checked anew, and none fails on a connection that
            // the other side has just closed. It costs a handshake a request.
            .pool_max_idle_per_host(0)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|error| SetupError(innermost(&error)))?;
        Ok(Self { policy, http })
    }

    /// What can be said of a URL without the network. A name that passes may still be refused when it is resolved.
    ///
    /// # Errors
    /// [`Refused`] for what must not be called.
    pub fn check(&self, url: &str) -> Result<Url, Refused> {
        if url.len() > MAX_URL_LENGTH {
            return Err(Refused::TooLong);
        }
        let url = Url::parse(url).map_err(|_| Refused::Malformed)?;
        self.admit(&url)?;
        Ok(url)
    }

    /// [`Client::check`] for what is parsed; every request begins with it.
    pub(crate) fn admit(&self, url: &Url) -> Result<(), Refused> {
        self.policy.check_scheme(url)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Credentials);
        }
        if url.port() == Some(0) {
            return Err(Refused::Port);
        }
        self.policy.check_host(url)
    }
}

/// Host and port: all that an error may say of a URL.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// What the network's error means.
pub(crate) fn explain(url: &Url, error: &reqwest::Error) -> PostError {
    let refused = causes(error).find_map(|cause| cause.downcast_ref::<Refused>());
    match refused {
        Some(refused) => PostError::Refused(refused.clone()),
        None if error.is_timeout() => PostError::TimedOut { host: host_of(url) },
        None => PostError::Unreachable { host: host_of(url), why: innermost(error) },
    }
}

fn causes<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// The first cause: the outer errors repeat it, and the outermost would name the whole URL.
fn innermost(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| "no cause given".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    /// Made once: each reads the root certificates.
    fn client(allow_loopback_http: bool) -> &'static Client {
        fn new(allow_loopback_http: bool) -> Client {
            Client::new(Policy { allow_loopback_http }).expect("a client")
        }
        static STRICT: LazyLock<Client> = LazyLock::new(|| new(false));
        static DEVELOPMENT: LazyLock<Client> = LazyLock::new(|| new(true));
        if allow_loopback_http { &DEVELOPMENT } else { &STRICT }
    }

    fn refused_address(url: &str) -> bool {
        matches!(client(false).check(url), Err(Refused::Address { .. }))
    }

    #[test]
    fn an_ordinary_url_passes() {
        let client = client(false);
        for url in ["https://example.com/a.pdf?signature=x", "https://example.com:8443", "https://[2606:4700::1111]/"] {
            assert_eq!(client.check(url).map(|url| url.scheme().to_owned()), Ok("https".to_owned()), "{url}");
        }
    }

    #[test]
    fn every_notation_of_a_refused_address_is_refused() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "0177.0.0.1",
            "017700000001",
            "10.0.0.1",
            "0",
            "169.254.169.254",
            "0xa9fea9fe",
            "%31%32%37.0.0.1",
            "１２７.0.0.1",
            "127。0。0。1",
            "127.0.0.1.",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[fd00::1]",
            "localhost",
            "LOCALHOST.",
            "anything.localhost",
        ] {
            assert!(refused_address(&format!("https://{host}/")), "{host}");
        }
    }

    #[test]
    fn what_is_no_https_url_is_refused_with_its_reason() {
        let client = client(false);
        for (url, reason) in [
            ("", Refused::Malformed),
            ("example.com/a", Refused::Malformed),
            ("https://", Refused::Malformed),
            ("https://[::1%25eth0]/", Refused::Malformed),
            ("http://example.com/", Refused::Scheme),
            ("http://127.0.0.1/", Refused::Scheme),
            ("file:///etc/passwd", Refused::Scheme),
            ("ftp://example.com/", Refused::Scheme),
            ("data:text/plain,x", Refused::Scheme),
            ("https://user@example.com/", Refused::Credentials),
            ("https://:secret@example.com/", Refused::Credentials),
            ("https://example.com:0/", Refused::Port),
        ] {
            assert_eq!(client.check(url), Err(reason), "{url}");
        }
        let long = format!("https://example.com/{}", "x".repeat(MAX_URL_LENGTH));
        assert_eq!(client.check(&long), Err(Refused::TooLong));
    }

    #[test]
    fn in_development_loopback_and_nothing_else_is_within_reach() {
        let client = client(true);
        for url in [
            "http://127.0.0.1:80/x",
            "http://localhost:9/",
            "http://[::1]:9/",
            "https://127.9.9.9/",
            "https://localhost/",
        ] {
            assert!(client.check(url).is_ok(), "{url}");
        }
        for url in ["http://example.com/", "http://10.0.0.1/", "http://localhost.example.com/"] {
            assert_eq!(client.check(url), Err(Refused::Scheme), "{url}");
        }
        for url in ["https://10.0.0.1/", "https://169.254.169.254/", "https://[fe80::1]/", "https://0.0.0.0/"] {
            assert!(matches!(client.check(url), Err(Refused::Address { .. })), "{url}");
        }
    }

    proptest! {
        #[test]
        fn a_refusal_never_repeats_path_or_query(host in "[a-z0-9.\\[\\]:@-]{0,20}", scheme in "[a-z]{1,5}") {
            let url = format!("{scheme}://{host}/very-secret?token=very-secret");
            if let Err(refused) = client(false).check(&url) {
                let said = format!("{refused} {refused:?}");
                prop_assert!(!said.contains("very-secret"));
            }
        }
    }
}
