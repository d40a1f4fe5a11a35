//! Configured limits of a tenant.

use std::num::NonZero;

use quire_platform::{Backend, Collection, Result};
use quire_tasks::Tenant;
use serde::{Deserialize, Serialize};

use crate::record;

/// The limits of a tenant; `None` is unlimited. Default: unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantLimits {
    /// Requests per minute, sustained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<NonZero<u64>>,
    /// Requests at once after idle time. Default: `requests_per_minute`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZero<u64>>,
    /// Pages per day, sustained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages_per_day: Option<NonZero<u64>>,
}

impl TenantLimits {
    /// Maximum limit. It is exactly representable in the `f64` of a token bucket.
    pub const HIGHEST: u64 = 1_000_000_000;

    /// Returns the limits of a tenant. Default: unlimited.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`].
    pub async fn read(backend: &Backend, tenant: &Tenant) -> Result<Self> {
        Ok(record::read(backend, Collection::Tenants, tenant.as_str()).await?.0)
    }

    /// Changes the limits of a tenant and returns the new ones. All processes apply them within seconds.
    ///
    /// # Errors
    /// Any [`quire_platform::Error`].
    pub async fn change(backend: &Backend, tenant: &Tenant, to: impl FnMut(Self) -> Self) -> Result<Self> {
        record::change(backend, Collection::Tenants, tenant.as_str(), to).await
    }
}
