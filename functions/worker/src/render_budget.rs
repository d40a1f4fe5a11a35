//! The render seconds of each tenant: a token bucket. A tenant whose pages render slowly may not use the renderers, and
//! the processors under them, more than half of the time while others need them. Pure: the time is a parameter.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// The render seconds that a tenant may save up, per renderer: many ordinary pages, or a few slow ones.
const BURST_SECS: f64 = 30.0;
/// The render seconds per second that a tenant may use, per renderer, once it has used its burst.
const RATE: f64 = 0.5;
/// Buckets of more tenants than this are cleaned up.
const MAX_TENANTS: usize = 1_000;

/// The budgets of all tenants.
#[derive(Debug)]
pub(crate) struct RenderBudgets {
    renderers: f64,
    used: HashMap<Arc<str>, UsedSeconds>,
}

/// What a tenant has used, less what was refilled.
#[derive(Debug, Clone, Copy)]
struct UsedSeconds {
    secs: f64,
    at: Instant,
}

impl RenderBudgets {
    /// Creates budgets for this number of concurrent renderers.
    pub(crate) fn new(renderers: usize) -> Self {
        Self { renderers: renderers as f64, used: HashMap::new() }
    }

    /// Records that a page of the tenant was rendered for this long.
    pub(crate) fn charge(&mut self, tenant: &str, duration: Duration, now: Instant) {
        if self.used.len() >= MAX_TENANTS {
            let rate = self.rate();
            self.used.retain(|_, used| used.left_at(now, rate) > 0.0);
        }
        let secs = self.used_by(tenant, now) + duration.as_secs_f64();
        self.used.insert(tenant.into(), UsedSeconds { secs, at: now });
    }

    /// Returns after which time the tenant is within its budget again; zero if it is.
    pub(crate) fn wait(&self, tenant: &str, now: Instant) -> Duration {
        let excess = self.used_by(tenant, now) - BURST_SECS * self.renderers;
        Duration::from_secs_f64(excess.max(0.0) / self.rate())
    }

    fn used_by(&self, tenant: &str, now: Instant) -> f64 {
        self.used.get(tenant).map_or(0.0, |used| used.left_at(now, self.rate()))
    }

    fn rate(&self) -> f64 {
        RATE * self.renderers
    }
}

impl UsedSeconds {
    fn left_at(self, now: Instant, rate: f64) -> f64 {
        (self.secs - rate * now.saturating_duration_since(self.at).as_secs_f64()).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_tenant_waits_once_its_burst_is_used_and_others_do_not() {
        let now = Instant::now();
        let mut budgets = RenderBudgets::new(2);
        budgets.charge("a", 60 * SECOND, now);
        assert_eq!(budgets.wait("a", now), Duration::ZERO, "two renderers have 60 s");
        budgets.charge("a", 10 * SECOND, now);
        assert_eq!((budgets.wait("a", now), budgets.wait("b", now)), (10 * SECOND, Duration::ZERO));
        assert_eq!(budgets.wait("a", now + 4 * SECOND), 6 * SECOND);
        assert_eq!(budgets.wait("a", now + 10 * SECOND), Duration::ZERO);
    }

    #[test]
    fn budgets_that_are_full_again_take_no_memory() {
        let mut now = Instant::now();
        let mut budgets = RenderBudgets::new(1);
        for tenant in 0..10 * MAX_TENANTS {
            now += SECOND;
            budgets.charge(&tenant.to_string(), SECOND, now);
        }
        assert!(budgets.used.len() <= MAX_TENANTS);
    }

    proptest! {
        #[test]
        fn a_tenant_that_waits_uses_at_most_half_of_the_time(pages in prop::collection::vec(1_u64..20, 1..200)) {
            let start = Instant::now();
            let mut now = start;
            let mut budgets = RenderBudgets::new(1);
            let mut rendered = Duration::ZERO;
            for page in pages.into_iter().map(Duration::from_secs) {
                now += budgets.wait("a", now);
                now += page;
                rendered += page;
                budgets.charge("a", page, now);
            }
            let allowed = BURST_SECS + 20.0 + (now - start).as_secs_f64() * RATE;
            prop_assert!(rendered.as_secs_f64() <= allowed + 1e-6, "{rendered:?} in {:?}", now - start);
        }
    }
}
