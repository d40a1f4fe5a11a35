//! Checks the addresses of host names when a connection is made.

use std::{
    fmt::Debug,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolving};

use crate::{UrlRefused, policy::Rules};

/// Resolves host names: the resolver of the system, or a fake one in tests.
#[async_trait]
pub trait Resolve: Debug + Send + Sync {
    /// Returns all addresses of `host`, allowed or not.
    ///
    /// # Errors
    /// Fails with the error of the lookup.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the system.
#[derive(Debug)]
pub(crate) struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Resolves by another resolver and returns only the addresses that the policy allows.
#[derive(Debug)]
pub(crate) struct GuardedResolver {
    pub(crate) rules: Arc<Rules>,
    pub(crate) resolver: Arc<dyn Resolve>,
}

impl reqwest::dns::Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, resolver) = (Arc::clone(&self.rules), Arc::clone(&self.resolver));
        Box::pin(async move {
            let found = match resolver.resolve(name.as_str()).await {
                Err(error) if is_temporary(&error) => return Err(error.into()),
                found => found.unwrap_or_default(),
            };
            let allowed = filter_allowed(&rules, name.as_str(), found)?;
            Ok(Box::new(allowed.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

/// Returns whether a lookup failed without an answer. The standard library has only the text of the error: `EAI_AGAIN`
/// of glibc and musl, and the same on macOS. Any other error means that the name does not exist.
fn is_temporary(error: &io::Error) -> bool {
    let text = error.to_string();
    let is_lookup = text.contains("failed to lookup address information");
    !is_lookup
        || ["Temporary failure", "Try again", "temporary failure"].iter().any(|temporary| text.contains(temporary))
}

/// Returns the allowed addresses of a name. Error: there is none, which is the same error whether the name exists or
/// not.
fn filter_allowed(rules: &Rules, host: &str, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, UrlRefused> {
    let is_allowed = |address: &IpAddr| rules.refusal_reason(host, *address).is_none();
    let allowed: Vec<IpAddr> = found.into_iter().filter(is_allowed).collect();
    if allowed.is_empty() { Err(UrlRefused::unresolved(host)) } else { Ok(allowed) }
}
