//! Names to addresses, with the forbidden ones left out: the check that counts, since it is made as we connect.

use std::{
    fmt::Debug,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolving};

use crate::{Policy, Refused};

/// What turns a name into addresses: the system's resolver, or one made up by a test.
#[async_trait]
pub trait Resolve: Debug + Send + Sync {
    /// All addresses of `host`, permitted or not.
    ///
    /// # Errors
    /// Whatever the look-up met.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver.
#[derive(Debug)]
pub(crate) struct System;

#[async_trait]
impl Resolve for System {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Asks another resolver and hands on what the policy permits.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) policy: Policy,
    pub(crate) resolver: Arc<dyn Resolve>,
}

impl reqwest::dns::Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, resolver) = (self.policy, Arc::clone(&self.resolver));
        Box::pin(async move {
            let found = resolver.resolve(name.as_str()).await?;
            let permitted = permitted(policy, name.as_str(), found)?;
            Ok(Box::new(permitted.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

/// The permitted ones of a name's addresses; refused when there are addresses, but no permitted one.
fn permitted(policy: Policy, host: &str, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, Refused> {
    let mut refused = None;
    let mut rest = Vec::new();
    for address in found {
        match policy.refuses(host, address) {
            None => rest.push(address),
            Some(why) => refused = Some(why),
        }
    }
    match refused {
        Some(why) if rest.is_empty() => Err(Refused::Address { host: host.to_owned(), why }),
        _ => Ok(rest),
    }
}
