//! Configured limits of a tenant.

use std::num::NonZero;

use quire_platform::{Backend, Collection, Result};
use quire_tasks::Tenant;
use quire_telemetry::env::{self, Misconfigured};
use serde::{Deserialize, Serialize};

use crate::record;

/// Default of the maximum number of pages of a task.
pub const DEFAULT_PAGES_PER_TASK: u64 = 10_000;

/// The limits of a tenant; `None` is unlimited, or, as stored, the default limit unless the tenant is
/// [exempt](Exemptions) from it.
///
/// ```
/// use std::num::NonZero;
/// use quire_tenants::TenantLimits;
///
/// let defaults = TenantLimits { open_tasks: NonZero::new(100), ..TenantLimits::default() };
/// let own = TenantLimits { pages_per_day: NonZero::new(5_000), ..TenantLimits::default() };
/// let in_force = own.or_default(&defaults);
/// assert_eq!((in_force.open_tasks, in_force.pages_per_day), (NonZero::new(100), NonZero::new(5_000)));
/// ```
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
    /// Pages of one task, i.e. of all documents of one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages_per_task: Option<NonZero<u64>>,
    /// Bytes of the documents of all tasks that are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<NonZero<u64>>,
    /// Tasks that have not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_tasks: Option<NonZero<u64>>,
    /// The default limits that do not apply to the tenant.
    #[serde(skip_serializing_if = "record::is_default")]
    pub exempt: Exemptions,
}

/// The default limits that do not apply to a tenant. Default: all apply.
#[expect(clippy::struct_excessive_bools, reason = "each is one limit, as it is stored")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exemptions {
    /// Requests are not limited.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub requests_per_minute: bool,
    /// Pages per day are not limited.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pages_per_day: bool,
    /// Pages per task are not limited.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pages_per_task: bool,
    /// Stored bytes are not limited.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stored_bytes: bool,
    /// Open tasks are not limited.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub open_tasks: bool,
}

impl TenantLimits {
    /// Maximum limit of requests and pages. It is exactly representable in the `f64` of a token bucket.
    pub const HIGHEST: u64 = 1_000_000_000;
    /// Maximum of [`TenantLimits::stored_bytes`]: 1 PB.
    pub const HIGHEST_STORED_BYTES: u64 = 1_000_000_000_000_000;
    /// Maximum of [`TenantLimits::open_tasks`]: the ids of all open tasks must fit a record.
    pub const HIGHEST_OPEN_TASKS: u64 = 2_000;

    /// Reads the limits of tenants without limits of their own from these environment variables, in which 0 is
    /// unlimited: `QUIRE_DEFAULT_REQUESTS_PER_MINUTE`, `QUIRE_DEFAULT_BURST`, `QUIRE_DEFAULT_PAGES_PER_DAY`,
    /// `QUIRE_DEFAULT_PAGES_PER_TASK` (default: 10,000), `QUIRE_DEFAULT_STORED_BYTES` and
    /// `QUIRE_DEFAULT_OPEN_TASKS`.
    ///
    /// # Errors
    /// [`Misconfigured`] if a variable has an invalid value.
    pub fn defaults_from_env() -> Result<Self, Misconfigured> {
        let limit = |name, default, highest| env::within(name, default, 0..=highest).map(NonZero::new);
        Ok(Self {
            requests_per_minute: limit("QUIRE_DEFAULT_REQUESTS_PER_MINUTE", 0, Self::HIGHEST)?,
            burst: limit("QUIRE_DEFAULT_BURST", 0, Self::HIGHEST)?,
            pages_per_day: limit("QUIRE_DEFAULT_PAGES_PER_DAY", 0, Self::HIGHEST)?,
            pages_per_task: limit("QUIRE_DEFAULT_PAGES_PER_TASK", DEFAULT_PAGES_PER_TASK, Self::HIGHEST)?,
            stored_bytes: limit("QUIRE_DEFAULT_STORED_BYTES", 0, Self::HIGHEST_STORED_BYTES)?,
            open_tasks: limit("QUIRE_DEFAULT_OPEN_TASKS", 0, Self::HIGHEST_OPEN_TASKS)?,
            exempt: Exemptions::default(),
        })
    }

    /// Returns the default limits without environment variables: [`DEFAULT_PAGES_PER_TASK`] only.
    pub fn built_in_defaults() -> Self {
        Self { pages_per_task: NonZero::new(DEFAULT_PAGES_PER_TASK), ..Self::default() }
    }

    /// Returns the limits in force: a tenant's own, and the default for each that it has none of and is not exempt
    /// from.
    #[must_use]
    pub fn or_default(self, default: &Self) -> Self {
        let own_rate = self.requests_per_minute.is_some() || self.exempt.requests_per_minute;
        let own = |own: Option<NonZero<u64>>, exempt: bool, default| if exempt { own } else { own.or(default) };
        Self {
            requests_per_minute: own(self.requests_per_minute, own_rate, default.requests_per_minute),
            // The default burst belongs to the default rate.
            burst: own(self.burst, own_rate, default.burst),
            pages_per_day: own(self.pages_per_day, self.exempt.pages_per_day, default.pages_per_day),
            pages_per_task: own(self.pages_per_task, self.exempt.pages_per_task, default.pages_per_task),
            stored_bytes: own(self.stored_bytes, self.exempt.stored_bytes, default.stored_bytes),
            open_tasks: own(self.open_tasks, self.exempt.open_tasks, default.open_tasks),
            exempt: self.exempt,
        }
    }

    /// Returns a tenant's own limits, without the defaults.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exempt_tenant_has_no_default_limit() {
        let defaults = TenantLimits {
            pages_per_day: NonZero::new(7),
            requests_per_minute: NonZero::new(60),
            burst: NonZero::new(9),
            ..TenantLimits::built_in_defaults()
        };
        let exempt = Exemptions { pages_per_task: true, pages_per_day: true, ..Exemptions::default() };
        let in_force = TenantLimits { exempt, ..TenantLimits::default() }.or_default(&defaults);
        assert_eq!((in_force.pages_per_day, in_force.pages_per_task), (None, None));
        assert_eq!((in_force.requests_per_minute, in_force.burst), (NonZero::new(60), NonZero::new(9)));
        let own = TenantLimits { requests_per_minute: NonZero::new(5), ..TenantLimits::default() };
        assert_eq!(own.or_default(&defaults).burst, None, "the default burst belongs to the default rate");
        assert_eq!(TenantLimits::default().or_default(&defaults), defaults);
    }

    #[test]
    fn limits_stored_by_an_earlier_version_are_read() {
        let stored = r#"{"requests_per_minute":5,"pages_per_day":9}"#;
        let limits: TenantLimits = serde_json::from_str(stored).expect("limits");
        assert_eq!((limits.pages_per_day, limits.open_tasks), (NonZero::new(9), None));
        assert_eq!(serde_json::to_string(&limits).expect("JSON"), stored, "an earlier version can read it");
    }
}
