//! Arguments of the subcommands about tenants.

use std::{num::NonZero, str::FromStr};

use clap::{Args, Subcommand};
use quire_tasks::Tenant;
use quire_tenants::TenantLimits;

use super::{operator::parse_line, shared_args::DeploymentArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Create an API key and print it once: only its hash is stored. From the first key on, every request needs one.
    Create {
        /// The tenant: letters, digits, `-` and `_`.
        #[arg(long, value_name = "TENANT", default_value_t)]
        tenant: Tenant,
        /// A description, e.g. the client that uses the key.
        #[arg(long, value_name = "NAME", value_parser = parse_line)]
        name: Option<String>,
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
    /// List API keys: id, tenant, name, time of creation, and `active` or the time of revocation.
    List {
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
    /// Revoke an API key. It is refused within seconds.
    Revoke {
        /// The id, from `quire keys list`.
        id: String,
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TenantsCommand {
    /// Show a tenant's limits.
    Show {
        /// The tenant.
        tenant: Tenant,
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
    /// Set a tenant's limits. Limits that are not given stay unchanged.
    Set {
        /// The tenant.
        tenant: Tenant,
        #[command(flatten)]
        limits: LimitArgs,
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
}

/// A tenant's new limits: at least one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct LimitArgs {
    /// Requests per minute; `none` for no limit.
    #[arg(long, value_name = "N|none")]
    requests_per_minute: Option<LimitValue>,
    /// Requests at once, after a pause; `none` for the number per minute.
    #[arg(long, value_name = "N|none")]
    burst: Option<LimitValue>,
    /// Pages per day; `none` for no limit.
    #[arg(long, value_name = "N|none")]
    pages_per_day: Option<LimitValue>,
}

impl LimitArgs {
    /// Returns the limits with the given ones replaced.
    pub(crate) fn apply_to(&self, limits: TenantLimits) -> TenantLimits {
        let mut changed = limits;
        if let Some(LimitValue(limit)) = self.requests_per_minute {
            changed.requests_per_minute = limit;
        }
        if let Some(LimitValue(limit)) = self.burst {
            changed.burst = limit;
        }
        if let Some(LimitValue(limit)) = self.pages_per_day {
            changed.pages_per_day = limit;
        }
        changed
    }
}

/// A limit; `None` for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LimitValue(Option<NonZero<u64>>);

impl FromStr for LimitValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        match text.parse::<NonZero<u64>>() {
            Ok(limit) if limit.get() <= TenantLimits::HIGHEST => Ok(Self(Some(limit))),
            _ => Err(format!("must be an integer between 1 and {}, or none", TenantLimits::HIGHEST)),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct WebhookSecretArgs {
    /// The tenant.
    #[arg(long, value_name = "TENANT", default_value_t)]
    pub(crate) tenant: Tenant,
    /// Create a new secret first. The previous one also signs for 24 hours.
    #[arg(long)]
    pub(crate) rotate: bool,
    #[command(flatten)]
    pub(crate) deployment: DeploymentArgs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{CliCommand, tests::parse};

    fn set_limits(arguments: &str, before: TenantLimits) -> Result<TenantLimits, String> {
        match parse(&format!("quire tenants set acme {arguments}"))? {
            CliCommand::Tenants(TenantsCommand::Set { limits, .. }) => Ok(limits.apply_to(before)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_limit_that_is_not_given_stays_and_none_removes_it() {
        let before = TenantLimits { burst: NonZero::new(7), pages_per_day: NonZero::new(9), ..TenantLimits::default() };
        let after = set_limits("--requests-per-minute 60 --pages-per-day none", before).expect("valid arguments");
        let expected =
            TenantLimits { requests_per_minute: NonZero::new(60), burst: NonZero::new(7), pages_per_day: None };
        assert_eq!(after, expected);
    }

    #[test]
    fn an_invalid_limit_is_refused() {
        for invalid in ["0", "-1", "many", "1000000001", "1.5"] {
            let error = set_limits(&format!("--burst={invalid}"), TenantLimits::default()).expect_err(invalid);
            assert!(error.contains("must be an integer between 1 and 1000000000, or none"), "{error}");
        }
        assert!(set_limits("", TenantLimits::default()).is_err(), "at least one limit is needed");
    }

    #[test]
    fn a_tenant_has_a_plain_name() {
        assert!(parse("quire keys create --tenant acme-1 --name scanner").is_ok());
        assert!(parse("quire keys create").is_ok(), "the default tenant");
        assert!(parse("quire keys create --tenant a/b").is_err());
        assert!(parse("quire webhook-secret --tenant acme --rotate").is_ok());
        assert!(parse("quire webhook-secret").is_ok());
    }
}
