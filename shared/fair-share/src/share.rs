//! The semaphore.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{oneshot, watch};

use crate::scheduler::{Scheduler, Ticket};

/// A semaphore whose permits are shared fairly between tenants. Cheap to clone.
///
/// ```
/// use quire_fair_share::FairShare;
///
/// let share = FairShare::new(3);
/// let held = [share.try_acquire("a"), share.try_acquire("a")];
/// assert!(held.iter().all(Option::is_some));
/// assert!(share.try_acquire("a").is_none(), "the last third is for other tenants");
/// assert!(share.try_acquire("b").is_some());
/// ```
#[derive(Debug, Clone)]
pub struct FairShare(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<ShareState>,
    releases: watch::Sender<()>,
}

#[derive(Debug)]
struct ShareState {
    scheduler: Scheduler,
    waiting: HashMap<Ticket, oneshot::Sender<FairPermit>>,
}

/// A permit of one tenant. It is returned on drop.
#[derive(Debug)]
#[must_use = "a permit is returned on drop"]
pub struct FairPermit {
    shared: Arc<Shared>,
    tenant: Arc<str>,
}

/// How many permits can be taken now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity {
    /// The most permits that one tenant can take.
    pub max: usize,
    /// The most permits that each tenant that holds some can take.
    pub by_tenant: BTreeMap<String, usize>,
}

impl FairShare {
    /// Creates a pool of `permits`, at least one. Of a single permit no share can be kept free: a tenant then waits
    /// until the holder returns it.
    pub fn new(permits: usize) -> Self {
        let state = ShareState { scheduler: Scheduler::new(permits.max(1)), waiting: HashMap::new() };
        Self(Arc::new(Shared { state: Mutex::new(state), releases: watch::Sender::new(()) }))
    }

    /// Waits for a permit. Dropping the future gives up the place in the queue.
    pub async fn acquire(&self, tenant: &str) -> FairPermit {
        let tenant: Arc<str> = tenant.into();
        loop {
            let (ticket, granted) = {
                let mut state = self.0.lock();
                if state.scheduler.try_acquire(&tenant) {
                    return FairPermit { shared: Arc::clone(&self.0), tenant: Arc::clone(&tenant) };
                }
                let ticket = state.scheduler.enqueue(&tenant);
                let (grant, granted) = oneshot::channel();
                state.waiting.insert(ticket, grant);
                (ticket, granted)
            };
            let _waiting = WaitingRequest { shared: &self.0, tenant: &tenant, ticket };
            if let Ok(permit) = granted.await {
                return permit;
            }
        }
    }

    /// Returns a permit if the tenant may have one now.
    pub fn try_acquire(&self, tenant: &str) -> Option<FairPermit> {
        let tenant: Arc<str> = tenant.into();
        let taken = self.0.lock().scheduler.try_acquire(&tenant);
        taken.then(|| FairPermit { shared: Arc::clone(&self.0), tenant })
    }

    /// Returns whether another tenant holds a permit or waits for one.
    pub fn has_others(&self, tenant: &str) -> bool {
        self.0.lock().scheduler.has_others(tenant)
    }

    /// Subscribes to returned permits, after which the capacity has grown.
    pub fn releases(&self) -> watch::Receiver<()> {
        self.0.releases.subscribe()
    }

    /// Returns how many permits can be taken now.
    pub fn capacity(&self) -> Capacity {
        let state = self.0.lock();
        let by_tenant = state.scheduler.capacities().map(|(tenant, permits)| (tenant.to_string(), permits)).collect();
        Capacity { max: state.scheduler.capacity(0), by_tenant }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, ShareState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and then grants what can be granted. Permits are sent without the lock, since one whose
    /// receiver is gone is dropped, which takes the lock.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut ShareState)) {
        let mut grants = Vec::new();
        {
            let mut state = self.lock();
            change(&mut state);
            while let Some((tenant, ticket)) = state.scheduler.grant() {
                grants.push((state.waiting.remove(&ticket), FairPermit { shared: Arc::clone(self), tenant }));
            }
        }
        for (waiting, permit) in grants {
            match waiting {
                // An error returns the permit, which is dropped.
                Some(waiting) => drop(waiting.send(permit)),
                None => drop(permit),
            }
        }
    }
}

impl FairPermit {
    /// Returns the tenant that holds the permit.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }
}

impl Drop for FairPermit {
    fn drop(&mut self) {
        self.shared.change(|state| state.scheduler.release(&self.tenant));
        self.shared.releases.send_replace(());
    }
}

/// A request in the queue. It is removed on drop; a permit that was granted meanwhile is in the channel, and returned
/// with it.
struct WaitingRequest<'a> {
    shared: &'a Arc<Shared>,
    tenant: &'a Arc<str>,
    ticket: Ticket,
}

impl Drop for WaitingRequest<'_> {
    fn drop(&mut self) {
        self.shared.change(|state| {
            if state.waiting.remove(&self.ticket).is_some() {
                state.scheduler.cancel(self.tenant, self.ticket);
            }
        });
    }
}

impl Capacity {
    /// Returns how many permits this tenant can take.
    pub fn of(&self, tenant: &str) -> usize {
        self.by_tenant.get(tenant).map_or(self.max, |permits| (*permits).min(self.max))
    }

    /// Returns whether a tenant can take none, although others can.
    pub fn is_limited(&self) -> bool {
        self.by_tenant.values().any(|permits| *permits == 0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        task::JoinSet,
        time::{Instant, sleep, timeout},
    };

    use super::*;

    const JOB: Duration = Duration::from_secs(10);

    /// Starts `count` jobs of a tenant. Each returns how long it waited and worked.
    fn start_jobs(share: &FairShare, tenant: &'static str, count: usize, job: Duration) -> JoinSet<Duration> {
        let mut jobs = JoinSet::new();
        for _ in 0..count {
            let share = share.clone();
            jobs.spawn(async move {
                let started = Instant::now();
                let _permit = share.acquire(tenant).await;
                sleep(job).await;
                started.elapsed()
            });
        }
        jobs
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_beside_a_flood_of_slow_jobs_does_not_wait() {
        let share = FairShare::new(3);
        let _flood = start_jobs(&share, "a", 1_000, JOB);
        sleep(Duration::from_millis(1)).await;
        for _ in 0..20 {
            let took = start_jobs(&share, "b", 1, Duration::from_secs(1)).join_all().await;
            assert_eq!(took, [Duration::from_secs(1)]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_jobs_of_one_tenant_use_its_whole_share() {
        let share = FairShare::new(crate::pool_size(4));
        let started = Instant::now();
        start_jobs(&share, "a", 8, JOB).join_all().await;
        assert_eq!(started.elapsed(), 2 * JOB, "four at a time");
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_of_two_tenants_alternate_on_one_permit() {
        let share = FairShare::new(1);
        let holder = share.acquire("x").await;
        let _first = start_jobs(&share, "a", 100, JOB);
        sleep(Duration::from_millis(1)).await;
        let others = start_jobs(&share, "b", 3, JOB);
        sleep(Duration::from_millis(1)).await;
        let started = Instant::now();
        drop(holder);
        others.join_all().await;
        assert_eq!(started.elapsed(), 6 * JOB);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_request_leaves_the_queue_and_loses_no_permit() {
        let share = FairShare::new(2);
        let held = share.acquire("a").await;
        assert!(timeout(JOB, share.acquire("a")).await.is_err(), "the second is for others");
        let other = share.acquire("b").await;
        let mut granted = Box::pin(share.acquire("c"));
        assert!(timeout(JOB, &mut granted).await.is_err());
        drop(held);
        // Granted, but never received.
        drop(granted);
        drop(other);
        assert_eq!(share.capacity(), Capacity { max: 1, by_tenant: BTreeMap::new() });
        assert!(share.try_acquire("d").is_some());
    }

    #[tokio::test]
    async fn the_capacity_is_what_each_tenant_can_take() {
        let share = FairShare::new(24);
        assert_eq!((share.capacity().max, share.capacity().is_limited()), (16, false));
        let mut releases = share.releases();
        let held: Vec<FairPermit> = std::iter::from_fn(|| share.try_acquire("a")).collect();
        assert_eq!((share.has_others("a"), share.has_others("b")), (false, true));
        let capacity = share.capacity();
        assert_eq!((held.len(), capacity.of("a"), capacity.of("b")), (16, 0, 5));
        assert!(capacity.is_limited());
        assert!(!releases.has_changed().expect("the share exists"));
        drop(held);
        assert!(releases.has_changed().expect("the share exists"));
        releases.mark_unchanged();
    }
}
