//! Arguments of the subcommands about tenants.

use std::{num::NonZero, str::FromStr, time::Duration};

use anyhow::ensure;
use clap::{Args, Subcommand};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use quire_tasks::{Tenant, UnixMillis};
use quire_tenants::{Scope, TenantLimits};

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
        /// What the key may be used for: `submit`, `read`, `delete`, `webhooks` or `admin`; several with commas.
        /// Default: everything.
        #[arg(long, value_name = "SCOPE,…", value_delimiter = ',')]
        scopes: Vec<Scope>,
        /// When the key expires: a period such as `90d`, `12h` or `30m`, a date, or a time such as
        /// `2027-01-31T08:00:00Z`. Default: never.
        #[arg(long, value_name = "WHEN")]
        expires: Option<Expiry>,
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
    /// List API keys: id, tenant, name, time of creation, state (`active`, `expired` or the time of revocation),
    /// scopes, expiry, and last use.
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
    /// Show a tenant's limits in force: name, limit, what is used of it, and whether it is its own or a default.
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
    /// Requests per minute; `none` for no limit, `default` for that of `QUIRE_DEFAULT_REQUESTS_PER_MINUTE`.
    #[arg(long, value_name = "N|none|default")]
    requests_per_minute: Option<LimitValue>,
    /// Requests at once, after a pause; `none` for the number per minute.
    #[arg(long, value_name = "N|none")]
    burst: Option<LimitValue>,
    /// Pages per day; `none` for no limit, `default` for that of `QUIRE_DEFAULT_PAGES_PER_DAY`.
    #[arg(long, value_name = "N|none|default")]
    pages_per_day: Option<LimitValue>,
    /// Pages of one task; `none` for no limit, `default` for that of `QUIRE_DEFAULT_PAGES_PER_TASK`.
    #[arg(long, value_name = "N|none|default")]
    pages_per_task: Option<LimitValue>,
    /// Bytes of all stored documents; `none` for no limit, `default` for that of `QUIRE_DEFAULT_STORED_BYTES`.
    #[arg(long, value_name = "N|none|default")]
    stored_bytes: Option<LimitValue<{ TenantLimits::HIGHEST_STORED_BYTES }>>,
    /// Tasks that have not ended; `none` for no limit, `default` for that of `QUIRE_DEFAULT_OPEN_TASKS`.
    #[arg(long, value_name = "N|none|default")]
    open_tasks: Option<LimitValue<{ TenantLimits::HIGHEST_OPEN_TASKS }>>,
}

impl LimitArgs {
    /// Returns the limits with the given ones replaced.
    pub(crate) fn apply_to(&self, limits: TenantLimits) -> TenantLimits {
        let mut changed = limits;
        let exempt = &mut changed.exempt;
        if let Some(limit) = self.requests_per_minute {
            limit.set(&mut changed.requests_per_minute, &mut exempt.requests_per_minute);
        }
        if let Some(limit) = self.burst {
            limit.set(&mut changed.burst, &mut false);
        }
        if let Some(limit) = self.pages_per_day {
            limit.set(&mut changed.pages_per_day, &mut exempt.pages_per_day);
        }
        if let Some(limit) = self.pages_per_task {
            limit.set(&mut changed.pages_per_task, &mut exempt.pages_per_task);
        }
        if let Some(limit) = self.stored_bytes {
            limit.set(&mut changed.stored_bytes, &mut exempt.stored_bytes);
        }
        if let Some(limit) = self.open_tasks {
            limit.set(&mut changed.open_tasks, &mut exempt.open_tasks);
        }
        changed
    }
}

/// A new limit, of at most `HIGHEST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LimitValue<const HIGHEST: u64 = { TenantLimits::HIGHEST }> {
    /// No limit of its own: the default applies.
    Default,
    /// No limit, whatever the default is.
    None,
    At(NonZero<u64>),
}

impl<const HIGHEST: u64> LimitValue<HIGHEST> {
    fn set(self, limit: &mut Option<NonZero<u64>>, exempt: &mut bool) {
        *limit = if let Self::At(limit) = self { Some(limit) } else { None };
        *exempt = self == Self::None;
    }
}

impl<const HIGHEST: u64> FromStr for LimitValue<HIGHEST> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse::<NonZero<u64>>()) {
            ("none", _) => Ok(Self::None),
            ("default", _) => Ok(Self::Default),
            (_, Ok(limit)) if limit.get() <= HIGHEST => Ok(Self::At(limit)),
            _ => Err(format!("must be an integer between 1 and {HIGHEST}, or none, or default")),
        }
    }
}

/// When a key expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    After(Duration),
    At(UnixMillis),
}

impl Expiry {
    /// Returns the time.
    ///
    /// # Errors
    /// When it is past.
    pub(crate) fn at(self, now: UnixMillis) -> anyhow::Result<UnixMillis> {
        let at = match self {
            Self::After(period) => now.plus(period),
            Self::At(at) => at,
        };
        ensure!(at > now, "the key would have expired already: --expires is in the past");
        Ok(at)
    }
}

impl FromStr for Expiry {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str =
            "must be a period such as 90d, 12h or 30m, a date, or a time such as 2027-01-31T08:00:00Z";
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Self::At(UnixMillis(time.as_millisecond())));
        }
        if let Ok(date) = text.parse::<Date>() {
            let time = date.to_zoned(TimeZone::UTC).map_err(|_| EXPECTED)?;
            return Ok(Self::At(UnixMillis(time.timestamp().as_millisecond())));
        }
        let unit = text.chars().next_back().ok_or(EXPECTED)?;
        let number = text.strip_suffix(unit).and_then(|number| number.parse::<u32>().ok()).ok_or(EXPECTED)?;
        let hours = |number: u32| Duration::from_hours(number.into());
        match unit {
            'd' if number > 0 => Ok(Self::After(24 * hours(number))),
            'h' if number > 0 => Ok(Self::After(hours(number))),
            'm' if number > 0 => Ok(Self::After(Duration::from_mins(number.into()))),
            _ => Err(EXPECTED),
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
    use quire_tenants::Exemptions;

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
        let expected = TenantLimits {
            requests_per_minute: NonZero::new(60),
            burst: NonZero::new(7),
            exempt: Exemptions { pages_per_day: true, ..Exemptions::default() },
            ..TenantLimits::default()
        };
        assert_eq!(after, expected);
        let again = set_limits("--pages-per-day default --open-tasks 2000 --stored-bytes 5000000000", after);
        let expected = TenantLimits {
            stored_bytes: NonZero::new(5_000_000_000),
            open_tasks: NonZero::new(2_000),
            exempt: Exemptions::default(),
            ..expected
        };
        assert_eq!(again, Ok(expected));
        assert!(set_limits("--open-tasks 2001", after).is_err() && set_limits("--pages-per-task 0", after).is_err());
    }

    #[test]
    fn a_key_has_known_scopes_and_an_expiry() {
        let created = parse("quire keys create --scopes submit,read --expires 90d").expect("valid arguments");
        let CliCommand::Keys(KeysCommand::Create { scopes, expires, .. }) = created else { panic!("{created:?}") };
        assert_eq!(scopes, [Scope::Submit, Scope::Read]);
        assert_eq!(expires, Some(Expiry::After(Duration::from_hours(24 * 90))));
        let at = |text: &str| text.parse::<Expiry>();
        assert_eq!(at("1970-01-02"), Ok(Expiry::At(UnixMillis(86_400_000))));
        assert_eq!(at("1970-01-01T00:00:01.5Z"), Ok(Expiry::At(UnixMillis(1_500))));
        assert_eq!(at("30m"), Ok(Expiry::After(Duration::from_mins(30))));
        for invalid in ["", "90", "d", "0d", "-1d", "1w", "tomorrow", "2027-13-01", "99999999999d"] {
            assert!(at(invalid).is_err(), "{invalid}");
        }
        assert!(parse("quire keys create --scopes write").is_err());
        let now = UnixMillis(86_400_000);
        assert!(Expiry::At(now).at(now).is_err(), "it would have expired already");
        assert_eq!(Expiry::After(Duration::from_secs(1)).at(now).ok(), Some(UnixMillis(86_401_000)));
    }

    #[test]
    fn an_invalid_limit_is_refused() {
        for invalid in ["0", "-1", "many", "1000000001", "1.5"] {
            let error = set_limits(&format!("--burst={invalid}"), TenantLimits::default()).expect_err(invalid);
            assert!(error.contains("must be an integer between 1 and 1000000000, or none, or default"), "{error}");
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
