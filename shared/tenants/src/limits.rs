//! How much a tenant may ask for, as an operator said.

use std::num::NonZero;

use quire_platform::{Backend, Collection, Result};
use quire_tasks::Tenant;
use serde::{Deserialize, Serialize};

use crate::record;

/// What a tenant may ask for. What is not limited is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantLimits {
    /// Requests in a minute, over time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<NonZero<u64>>,
    /// Requests at once, after a pause; as many as in a minute unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZero<u64>>,
    /// Pages in a day, over time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages_per_day: Option<NonZero<u64>>,
}

impl TenantLimits {
    /// The highest limit: more than anybody has pages, and still counted to the last one.
    pub const HIGHEST: u64 = 1_000_000_000;

    /// What a tenant may ask for: anything, unless somebody said otherwise.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`].
    pub async fn read(backend: &Backend, tenant: &Tenant) -> Result<Self> {
        Ok(record::read(backend, Collection::Tenants, tenant.as_str()).await?.0)
    }

    /// Changes what a tenant may ask for; what that is now. The doors follow within seconds.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`].
    pub async fn change(backend: &Backend, tenant: &Tenant, to: impl FnMut(Self) -> Self) -> Result<Self> {
        record::change(backend, Collection::Tenants, tenant.as_str(), to).await
    }
}
