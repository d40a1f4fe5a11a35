//! `quire tenants`: what each may ask for.

use std::num::NonZero;

use quire_tenants::TenantLimits;

use crate::{cli::Tenants, print, site::Site};

/// Runs one of the subcommands on a backend, whether it is being served or not.
pub(crate) async fn tenants(args: Tenants) -> anyhow::Result<()> {
    let limits = match args {
        Tenants::Show { tenant, place } => {
            TenantLimits::read(&Site::existing(&place).await?.backend(), &tenant).await?
        }
        Tenants::Set { tenant, allowed, place } => {
            let backend = Site::made(&place).await?.backend();
            TenantLimits::change(&backend, &tenant, |limits| allowed.applied(limits)).await?
        }
    };
    print::lines(&lines(&limits))
}

/// Tab-separated: for eyes, and for `cut`.
fn lines(limits: &TenantLimits) -> Vec<String> {
    let TenantLimits { requests_per_minute, burst, pages_per_day } = *limits;
    let named = [
        ("requests-per-minute", requests_per_minute),
        ("burst", burst.or(requests_per_minute)),
        ("pages-per-day", pages_per_day),
    ];
    let said = |most: Option<NonZero<u64>>| most.map_or("none".to_owned(), |most| most.to_string());
    named.map(|(name, most)| format!("{name}\t{}", said(most))).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_shown_as_they_hold() {
        assert_eq!(
            lines(&TenantLimits::default()),
            ["requests-per-minute\tnone", "burst\tnone", "pages-per-day\tnone"]
        );
        let limits =
            TenantLimits { requests_per_minute: NonZero::new(60), burst: None, pages_per_day: NonZero::new(9) };
        assert_eq!(lines(&limits), ["requests-per-minute\t60", "burst\t60", "pages-per-day\t9"]);
    }
}
