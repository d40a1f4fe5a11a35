//! `quire tenants`: manages the limits of tenants.

use std::num::NonZero;

use quire_tenants::TenantLimits;

use crate::{cli::TenantsCommand, deployment::Deployment, rows};

/// Runs a subcommand, whether the backend is being served or not.
pub(crate) async fn run(command: TenantsCommand) -> anyhow::Result<()> {
    let limits = match command {
        TenantsCommand::Show { tenant, deployment } => {
            let backend = Deployment::open_existing(&deployment).await?.backend();
            TenantLimits::read(&backend, &tenant).await?
        }
        TenantsCommand::Set { tenant, limits, deployment } => {
            let backend = Deployment::open_or_create(&deployment).await?.backend();
            TenantLimits::change(&backend, &tenant, |before| limits.apply_to(before)).await?
        }
    };
    rows::print(&format_rows(&limits))
}

/// Formats the limits as tab-separated rows.
fn format_rows(limits: &TenantLimits) -> Vec<String> {
    let TenantLimits { requests_per_minute, burst, pages_per_day } = *limits;
    vec![
        format_row("requests-per-minute", requests_per_minute),
        format_row("burst", burst.or(requests_per_minute)),
        format_row("pages-per-day", pages_per_day),
    ]
}

fn format_row(name: &str, limit: Option<NonZero<u64>>) -> String {
    match limit {
        Some(limit) => format!("{name}\t{limit}"),
        None => format!("{name}\tnone"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_burst_defaults_to_the_requests_per_minute() {
        let rows = format_rows(&TenantLimits::default());
        assert_eq!(rows, ["requests-per-minute\tnone", "burst\tnone", "pages-per-day\tnone"]);
        let limits =
            TenantLimits { requests_per_minute: NonZero::new(60), burst: None, pages_per_day: NonZero::new(9) };
        assert_eq!(format_rows(&limits), ["requests-per-minute\t60", "burst\t60", "pages-per-day\t9"]);
    }
}
