//! The HTTP client.

use std::{error::Error, sync::Arc, time::Duration};

use reqwest::{Certificate, redirect};
use url::Url;

use crate::{
    EgressOptions, EgressPolicy, EgressSetupError, MAX_URL_LENGTH, PostError, Resolve, UrlRefused,
    policy::Rules,
    resolver::{GuardedResolver, SystemResolver},
};

/// The connect timeout. A reachable host accepts a connection within one round trip; the rest of the timeout is for the
/// transfer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const USER_AGENT: &str = concat!("quire/", env!("CARGO_PKG_VERSION"));

/// An HTTP client for URLs from untrusted sources. Cheap to clone.
///
/// ```no_run
/// use std::{path::Path, time::Duration};
///
/// use quire_egress::{Client, EgressPolicy};
///
/// # async fn download() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(EgressPolicy::default())?;
/// let url = client.check("https://example.com/invoice.pdf")?;
/// let fetched = client.fetch(&url, 500_000_000, Duration::from_secs(60), Path::new("invoice.pdf")).await?;
/// println!("{} bytes", fetched.bytes);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    rules: Arc<Rules>,
    pub(crate) http: reqwest::Client,
}

impl Client {
    /// Creates a client that uses the resolver of the system.
    ///
    /// # Errors
    /// Fails with [`EgressSetupError`] without root certificates.
    pub fn new(policy: EgressPolicy) -> Result<Self, EgressSetupError> {
        Self::with_resolver(policy, Arc::new(SystemResolver))
    }

    /// Creates a client that uses `resolver`, whose addresses are checked like those of the system.
    ///
    /// # Errors
    /// Fails with [`EgressSetupError`] without root certificates.
    pub fn with_resolver(policy: EgressPolicy, resolver: Arc<dyn Resolve>) -> Result<Self, EgressSetupError> {
        Self::build(EgressOptions { policy, ..EgressOptions::default() }, resolver)
    }

    /// Creates a client with these options, which uses the resolver of the system.
    ///
    /// # Errors
    /// Fails with [`EgressSetupError`] without root certificates, or if the further ones are invalid.
    pub fn with_options(options: EgressOptions) -> Result<Self, EgressSetupError> {
        Self::build(options, Arc::new(SystemResolver))
    }

    /// Creates a client with these options and this resolver, whose addresses are checked like those of the system.
    ///
    /// # Errors
    /// As [`Self::with_options`].
    pub fn build(options: EgressOptions, resolver: Arc<dyn Resolve>) -> Result<Self, EgressSetupError> {
        let EgressOptions { policy, allow, ca_certificates } = options;
        let rules = Arc::new(Rules { policy, allow });
        // An error means that the process already has a provider, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .dns_resolver(GuardedResolver { rules: Arc::clone(&rules), resolver })
            .tls_certs_merge(parse_certificates(ca_certificates.as_deref())?)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            // No connection reuse: every request checks the address again, and none fails on a connection that the
            // server has just closed. Trade-off: one TLS handshake per request.
            .pool_max_idle_per_host(0)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|error| EgressSetupError(root_cause(&error)))?;
        Ok(Self { rules, http })
    }

    /// Parses and validates a URL without network access. Note: its host name may still be refused when it is resolved.
    ///
    /// # Errors
    /// Fails with [`UrlRefused`].
    pub fn check(&self, url: &str) -> Result<Url, UrlRefused> {
        if url.len() > MAX_URL_LENGTH {
            return Err(UrlRefused::TooLong);
        }
        let url = Url::parse(url).map_err(|_| UrlRefused::Malformed)?;
        self.validate(&url)?;
        Ok(url)
    }

    /// Validates a parsed URL. Every request begins with it.
    pub(crate) fn validate(&self, url: &Url) -> Result<(), UrlRefused> {
        self.rules.check_scheme(url)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlRefused::Credentials);
        }
        if url.port() == Some(0) {
            return Err(UrlRefused::Port);
        }
        self.rules.check_host(url)
    }
}

fn parse_certificates(pem: Option<&[u8]>) -> Result<Vec<Certificate>, EgressSetupError> {
    let Some(pem) = pem else { return Ok(Vec::new()) };
    let invalid = |why: &str| EgressSetupError(format!("the further root certificates are invalid: {why}"));
    let certificates = Certificate::from_pem_bundle(pem).map_err(|error| invalid(&root_cause(&error)))?;
    if certificates.is_empty() { Err(invalid("there is none")) } else { Ok(certificates) }
}

/// Returns host and port, the only parts of a URL that errors may contain.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Converts a network error.
pub(crate) fn post_error(url: &Url, error: &reqwest::Error) -> PostError {
    let refused = causes(error).find_map(|cause| cause.downcast_ref::<UrlRefused>());
    match refused {
        Some(refused) => PostError::Refused(refused.clone()),
        None if error.is_timeout() => PostError::TimedOut { host: host_of(url) },
        None => PostError::Unreachable { host: host_of(url), why: root_cause(error) },
    }
}

fn causes<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// Returns the root cause. The outer errors repeat it, and the outermost one contains the whole URL.
fn root_cause(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| "no cause given".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    /// Created once, because each client reads the root certificates.
    fn client(allow_loopback_http: bool) -> &'static Client {
        fn new(allow_loopback_http: bool) -> Client {
            Client::new(EgressPolicy { allow_loopback_http }).expect("root certificates are available")
        }
        static STRICT: LazyLock<Client> = LazyLock::new(|| new(false));
        static DEVELOPMENT: LazyLock<Client> = LazyLock::new(|| new(true));
        if allow_loopback_http { &DEVELOPMENT } else { &STRICT }
    }

    fn refused_address(url: &str) -> bool {
        matches!(client(false).check(url), Err(UrlRefused::Address { .. }))
    }

    #[test]
    fn an_https_url_is_allowed() {
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
    fn urls_other_than_https_are_refused_with_a_reason() {
        let client = client(false);
        for (url, reason) in [
            ("", UrlRefused::Malformed),
            ("example.com/a", UrlRefused::Malformed),
            ("https://", UrlRefused::Malformed),
            ("https://[::1%25eth0]/", UrlRefused::Malformed),
            ("http://example.com/", UrlRefused::Scheme),
            ("http://127.0.0.1/", UrlRefused::Scheme),
            ("file:///etc/passwd", UrlRefused::Scheme),
            ("ftp://example.com/", UrlRefused::Scheme),
            ("data:text/plain,x", UrlRefused::Scheme),
            ("https://user@example.com/", UrlRefused::Credentials),
            ("https://:secret@example.com/", UrlRefused::Credentials),
            ("https://example.com:0/", UrlRefused::Port),
        ] {
            assert_eq!(client.check(url), Err(reason), "{url}");
        }
        let long = format!("https://example.com/{}", "x".repeat(MAX_URL_LENGTH));
        assert_eq!(client.check(&long), Err(UrlRefused::TooLong));
    }

    #[test]
    fn the_development_policy_allows_only_loopback_in_addition() {
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
            assert_eq!(client.check(url), Err(UrlRefused::Scheme), "{url}");
        }
        for url in ["https://10.0.0.1/", "https://169.254.169.254/", "https://[fe80::1]/", "https://0.0.0.0/"] {
            assert!(matches!(client.check(url), Err(UrlRefused::Address { .. })), "{url}");
        }
    }

    proptest! {
        #[test]
        fn a_refusal_does_not_contain_path_or_query(host in "[a-z0-9.\\[\\]:@-]{0,20}", scheme in "[a-z]{1,5}") {
            let url = format!("{scheme}://{host}/very-secret?token=very-secret");
            if let Err(refused) = client(false).check(&url) {
                let text = format!("{refused} {refused:?}");
                prop_assert!(!text.contains("very-secret"));
            }
        }
    }
}
