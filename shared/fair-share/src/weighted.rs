//! A semaphore for amounts, e.g. bytes or pixels.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::pool_size;

/// A budget of units, e.g. of memory, of which each tenant has its own limit. A tenant at its limit waits for itself
/// only: it never queues in front of others. The whole budget is half as large again as the limit of one tenant.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
/// use quire_fair_share::WeightedShare;
///
/// let share = WeightedShare::new(100);
/// let held = share.acquire("a", 100).await;
/// let other = share.acquire("b", 50).await;
/// # });
/// ```
#[derive(Debug)]
pub struct WeightedShare {
    per_tenant: u32,
    all: Arc<Semaphore>,
    tenants: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
}

/// Units of one tenant. They are returned on drop.
#[derive(Debug)]
#[must_use = "units are returned on drop"]
pub struct WeightedPermit {
    own: OwnedSemaphorePermit,
    all: OwnedSemaphorePermit,
}

impl WeightedShare {
    /// Creates a budget in which one tenant can have `per_tenant` units.
    pub fn new(per_tenant: u32) -> Self {
        let all = Arc::new(Semaphore::new(pool_size(per_tenant as usize)));
        Self { per_tenant, all, tenants: Mutex::default() }
    }

    /// Waits for units; more than the tenant's limit count as the limit.
    ///
    /// # Panics
    /// Never: the semaphores are not closed.
    pub async fn acquire(&self, tenant: &str, units: u32) -> WeightedPermit {
        let units = units.min(self.per_tenant);
        let own = self.tenant(tenant).acquire_many_owned(units).await.expect("never closed");
        let all = Arc::clone(&self.all).acquire_many_owned(units).await.expect("never closed");
        WeightedPermit { own, all }
    }

    fn tenant(&self, tenant: &str) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        // A semaphore is shared by its permits and waiting requests: one without them is not needed any more.
        tenants.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        let new = || Arc::new(Semaphore::new(self.per_tenant as usize));
        Arc::clone(tenants.entry(tenant.into()).or_insert_with(new))
    }
}

impl WeightedPermit {
    /// Returns the units beyond `units`.
    pub fn shrink_to(&mut self, units: usize) {
        for permit in [&mut self.own, &mut self.all] {
            drop(permit.split(permit.num_permits().saturating_sub(units)));
        }
    }

    /// Returns the number of units.
    pub fn units(&self) -> usize {
        self.own.num_permits()
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, time::Duration};

    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn a_tenant_at_its_limit_does_not_queue_in_front_of_others() {
        let share = WeightedShare::new(100);
        let mut held = share.acquire("a", 1_000).await;
        assert_eq!(held.units(), 100, "more than the limit counts as the limit");
        let mut waiting = pin!(share.acquire("a", 100));
        assert!(timeout(LONG, &mut waiting).await.is_err());
        let other = timeout(LONG, share.acquire("b", 50)).await.expect("room for another tenant");
        drop(other);
        held.shrink_to(10);
        assert_eq!(held.units(), 10);
        held.shrink_to(50);
        assert_eq!(held.units(), 10, "a permit does not grow");
        assert!(timeout(LONG, share.acquire("c", 90)).await.is_ok());
        drop(held);
        assert!(timeout(LONG, waiting).await.is_ok());
    }

    #[tokio::test]
    async fn a_tenant_without_permits_is_forgotten() {
        let share = WeightedShare::new(1);
        for name in ["a", "b", "c"] {
            drop(share.acquire(name, 1).await);
        }
        let _held = share.acquire("d", 1).await;
        assert_eq!(share.tenants.lock().expect("no panic").len(), 1);
    }
}
