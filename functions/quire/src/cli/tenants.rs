//! What the commands about tenants take.

use std::num::NonZero;

use clap::{Args, Subcommand};
use quire_tasks::Tenant;
use quire_tenants::TenantLimits;

use super::{Place, operator::words};

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make one, and print it: this once, since it is kept nowhere. From the first on, the API is closed to requests without.
    Create {
        /// Whose requests it lets through: letters, digits, `-` and `_`.
        #[arg(long, value_name = "TENANT", default_value_t)]
        tenant: Tenant,
        /// What it is for.
        #[arg(long, value_name = "NAME", value_parser = words)]
        name: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// List them: id, tenant, name, when made, and whether it is in force or when it was revoked.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// End one: within seconds it lets nobody in any more.
    Revoke {
        /// Its id, as `list` shows it.
        id: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tenants {
    /// Show what a tenant may ask for.
    Show {
        /// The tenant.
        tenant: Tenant,
        #[command(flatten)]
        place: Place,
    },
    /// Say what a tenant may ask for; what is not named stays as it is.
    Set {
        /// The tenant.
        tenant: Tenant,
        #[command(flatten)]
        allowed: Allowed,
        #[command(flatten)]
        place: Place,
    },
}

/// What a tenant may ask for: at least one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Allowed {
    /// Requests in a minute; `none` for as many as it likes.
    #[arg(long, value_name = "N|none")]
    requests_per_minute: Option<AtMost>,
    /// Requests at once, after a pause; `none` for as many as in a minute.
    #[arg(long, value_name = "N|none")]
    burst: Option<AtMost>,
    /// Pages in a day; `none` for as many as it likes.
    #[arg(long, value_name = "N|none")]
    pages_per_day: Option<AtMost>,
}

impl Allowed {
    /// The limits as they are from now on.
    pub(crate) fn applied(&self, limits: TenantLimits) -> TenantLimits {
        let now = |said: Option<AtMost>, before| said.map_or(before, |AtMost(most)| most);
        TenantLimits {
            requests_per_minute: now(self.requests_per_minute, limits.requests_per_minute),
            burst: now(self.burst, limits.burst),
            pages_per_day: now(self.pages_per_day, limits.pages_per_day),
        }
    }
}

/// A limit, or that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct AtMost(Option<NonZero<u64>>);

impl std::str::FromStr for AtMost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let most = text.parse().ok().filter(|most: &NonZero<u64>| most.get() <= TenantLimits::HIGHEST);
        most.map(|most| Self(Some(most))).ok_or_else(|| format!("must be from 1 to {}, or none", TenantLimits::HIGHEST))
    }
}

#[derive(Debug, Args)]
pub(crate) struct WebhookSecret {
    /// Whose.
    #[arg(long, value_name = "TENANT", default_value_t)]
    pub(crate) tenant: Tenant,
    /// Replace it by a new one first. The one before it signs too for 24 hours.
    #[arg(long)]
    pub(crate) rotate: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, tests::parsed};

    fn applied(rest: &str, before: TenantLimits) -> Result<TenantLimits, String> {
        match parsed(&format!("quire tenants set acme {rest}"))? {
            Command::Tenants(Tenants::Set { allowed, .. }) => Ok(allowed.applied(before)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_named_stays_as_it_is_and_none_lifts_a_limit() {
        let before = TenantLimits { burst: NonZero::new(7), pages_per_day: NonZero::new(9), ..TenantLimits::default() };
        let after = applied("--requests-per-minute 60 --pages-per-day none", before).expect("it makes sense");
        assert_eq!(
            after,
            TenantLimits { requests_per_minute: NonZero::new(60), burst: NonZero::new(7), pages_per_day: None }
        );
    }

    #[test]
    fn a_limit_that_makes_no_sense_is_refused() {
        for wrong in ["0", "-1", "many", "1000000001", "1.5"] {
            let refused = applied(&format!("--burst={wrong}"), TenantLimits::default()).expect_err(wrong);
            assert!(refused.contains("must be from 1 to 1000000000, or none"), "{refused}");
        }
        assert!(applied("", TenantLimits::default()).is_err(), "nothing is set");
    }

    #[test]
    fn a_tenant_has_a_plain_name() {
        assert!(parsed("quire keys create --tenant acme-1 --name scanner").is_ok());
        assert!(parsed("quire keys create").is_ok(), "it is the default tenant's");
        assert!(parsed("quire keys create --tenant a/b").is_err());
        assert!(parsed("quire webhook-secret --tenant acme --rotate").is_ok());
        assert!(parsed("quire webhook-secret").is_ok());
    }
}
