//! Checks the addresses of host names when a connection is made.

use std::{
    fmt::Debug,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolving};

use crate::{EgressPolicy, UrlRefused};

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
    pub(crate) policy: EgressPolicy,
    pub(crate) resolver: Arc<dyn Resolve>,
}

impl reqwest::dns::Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, resolver) = (self.policy, Arc::clone(&self.resolver));
        Box::pin(async move {
            let found = resolver.resolve(name.as_str()).await?;
            let allowed = filter_allowed(policy, name.as_str(), found)?;
            Ok(Box::new(allowed.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

/// Returns the allowed addresses of a name, or an error if all of them are refused.
fn filter_allowed(policy: EgressPolicy, host: &str, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, UrlRefused> {
    let mut refused = None;
    let mut allowed = Vec::new();
    for address in found {
        match policy.refusal_reason(host, address) {
            None => allowed.push(address),
            Some(why) => refused = Some(why),
        }
    }
    match refused {
        Some(why) if allowed.is_empty() => Err(UrlRefused::Address { host: host.to_owned(), why }),
        _ => Ok(allowed),
    }
}
