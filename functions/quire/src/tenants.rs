//! `quire tenants`: manages the limits of tenants, and shows what they use of them.

use std::num::NonZero;

use quire_platform::Backend;
use quire_tasks::Tenant;
use quire_tenants::{QuotaUse, RateLimiter, TenantLimits};

use crate::{cli::TenantsCommand, deployment::Deployment, rows};

/// Runs a subcommand, whether the backend is being served or not.
pub(crate) async fn run(command: TenantsCommand) -> anyhow::Result<()> {
    match command {
        TenantsCommand::Show { tenant, deployment } => {
            show(&Deployment::open_existing(&deployment).await?.backend(), &tenant).await
        }
        TenantsCommand::Set { tenant, limits, deployment } => {
            let backend = Deployment::open_or_create(&deployment).await?.backend();
            TenantLimits::change(&backend, &tenant, |before| limits.apply_to(before)).await?;
            show(&backend, &tenant).await
        }
    }
}

async fn show(backend: &Backend, tenant: &Tenant) -> anyhow::Result<()> {
    let defaults = TenantLimits::defaults_from_env()?;
    let own = TenantLimits::read(backend, tenant).await?;
    let limiter = RateLimiter::with_defaults(backend.clone(), defaults);
    let used = limiter.quota_use(tenant, quire_platform::now()).await?;
    rows::print(&format_rows(&own, &own.or_default(&defaults), &used))
}

/// Formats the limits as tab-separated rows: name, limit in force, use, and whether it is a default.
fn format_rows(own: &TenantLimits, limits: &TenantLimits, used: &QuotaUse) -> Vec<String> {
    let exempt = own.exempt;
    let row = |name, limit, used: Option<u64>, own: bool| {
        let limit = format_limit(limit);
        let used = rows::cell_or_unknown(used.map(|used| used.to_string()));
        let source = if own { "own" } else { "default" };
        format!("{name}\t{limit}\t{used}\t{source}")
    };
    // The use of what is not limited is not counted.
    let counted = |limit: Option<NonZero<u64>>, used| limit.map(|_| used);
    let own_rate = own.requests_per_minute.is_some() || exempt.requests_per_minute;
    let burst = limits.burst.or(limits.requests_per_minute);
    let pages = limits.pages_per_day;
    let (bytes, open) = (limits.stored_bytes, limits.open_tasks);
    vec![
        row("requests-per-minute", limits.requests_per_minute, None, own_rate),
        row("burst", burst, None, own_rate || own.burst.is_some()),
        row(
            "pages-per-day",
            pages,
            counted(pages, used.pages_per_day),
            is_own(own.pages_per_day, exempt.pages_per_day),
        ),
        row("pages-per-task", limits.pages_per_task, None, is_own(own.pages_per_task, exempt.pages_per_task)),
        row("stored-bytes", bytes, counted(bytes, used.stored_bytes), is_own(own.stored_bytes, exempt.stored_bytes)),
        row("open-tasks", open, counted(open, used.open_tasks), is_own(own.open_tasks, exempt.open_tasks)),
    ]
}

const fn is_own(limit: Option<NonZero<u64>>, exempt: bool) -> bool {
    limit.is_some() || exempt
}

fn format_limit(limit: Option<NonZero<u64>>) -> String {
    limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string())
}

#[cfg(test)]
mod tests {
    use quire_tenants::Exemptions;

    use super::*;

    #[test]
    fn limits_are_shown_with_their_use_and_source() {
        let defaults = TenantLimits { open_tasks: NonZero::new(7), ..TenantLimits::built_in_defaults() };
        let used = QuotaUse { pages_per_day: 3, stored_bytes: 5, open_tasks: 2 };
        let rows = |own: TenantLimits| format_rows(&own, &own.or_default(&defaults), &used);
        let expected = [
            "requests-per-minute\tnone\t-\tdefault",
            "burst\tnone\t-\tdefault",
            "pages-per-day\tnone\t-\tdefault",
            "pages-per-task\t10000\t-\tdefault",
            "stored-bytes\tnone\t-\tdefault",
            "open-tasks\t7\t2\tdefault",
        ];
        assert_eq!(rows(TenantLimits::default()), expected);
        let own = TenantLimits {
            requests_per_minute: NonZero::new(60),
            pages_per_day: NonZero::new(9),
            stored_bytes: NonZero::new(10),
            exempt: Exemptions { pages_per_task: true, open_tasks: true, ..Exemptions::default() },
            ..TenantLimits::default()
        };
        let expected = [
            "requests-per-minute\t60\t-\town",
            "burst\t60\t-\town",
            "pages-per-day\t9\t3\town",
            "pages-per-task\tnone\t-\town",
            "stored-bytes\t10\t5\town",
            "open-tasks\tnone\t-\town",
        ];
        assert_eq!(rows(own), expected);
    }
}
