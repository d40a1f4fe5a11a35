//! The micro-batch policy: gathers pages of all documents and tenants into batches, in which the tenants take turns.
//! Pure: no I/O, and time is passed in.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use quire_document::PageImage;
use quire_pp_ocr::BatchPolicy;

/// Pixels of an A4 page at 200 dpi: by this the pages of a micro-batch are estimated before any page is rendered.
const A4_PAGE_PIXELS: u64 = 1_654 * 2_339;
/// Pages on their way to or from an engine whose micro-batches have one page.
const MIN_PAGES_IN_TRANSIT: u32 = 2;

/// How many tenants the batcher remembers that have no entry.
const MAX_REMEMBERED_TENANTS: usize = 1_000;

/// What bounds a micro-batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// The largest sum of the entries' costs, in pixels. An entry that costs more goes alone.
    pub max_cost: u64,
    /// How long the oldest entry waits for more entries.
    pub max_wait: Duration,
}

impl BatchLimits {
    /// Returns the limits of a policy.
    pub const fn of(policy: &BatchPolicy) -> Self {
        Self { max_cost: policy.max_batch_pixels, max_wait: Duration::from_millis(policy.max_wait_ms) }
    }
}

/// Collects entries into micro-batches. A batch is due when it is full, when its oldest entry has waited for
/// [`BatchLimits::max_wait`], or at once when a reader is idle.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use quire_worker::{BatchDue, BatchLimits, Batcher};
///
/// let limits = BatchLimits { max_cost: 100, max_wait: Duration::from_millis(20) };
/// let mut batcher = Batcher::new(limits);
/// let now = Instant::now();
/// batcher.push(now, 60, "a");
/// assert_eq!(batcher.next_due(now, false), BatchDue::At(now + limits.max_wait));
/// batcher.push(now, 60, "b");
/// assert_eq!(batcher.next_due(now, false), BatchDue::Now, "the batch is full");
/// assert_eq!(batcher.take(), ["a"], "both together would cost too much");
/// ```
#[derive(Debug)]
pub struct Batcher<T> {
    limits: BatchLimits,
    /// None is empty.
    waiting: Vec<TenantEntries<T>>,
    /// The number of the turn in which each tenant was last served. The tenant that was served longest ago is the next.
    served: HashMap<Arc<str>, u64>,
    turns: u64,
    cost: u64,
}

/// The entries of one tenant, oldest first.
#[derive(Debug)]
struct TenantEntries<T> {
    tenant: Arc<str>,
    entries: VecDeque<BatchEntry<T>>,
}

#[derive(Debug)]
struct BatchEntry<T> {
    since: Instant,
    cost: u64,
    item: T,
}

/// When the next batch is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchDue {
    /// At once.
    Now,
    /// At this time, or earlier if the batch is full or a reader becomes idle.
    At(Instant),
    /// Never: no entry waits.
    Never,
}

impl<T> Batcher<T> {
    /// Creates an empty batcher.
    pub fn new(limits: BatchLimits) -> Self {
        Self { limits, waiting: Vec::new(), served: HashMap::new(), turns: 0, cost: 0 }
    }

    /// Adds an entry of no tenant. Its cost counts as at least 1, so that every batch is finite.
    pub fn push(&mut self, now: Instant, cost: u64, item: T) {
        self.push_for("", now, cost, item);
    }

    /// As [`Self::push`], for a tenant.
    pub fn push_for(&mut self, tenant: &str, now: Instant, cost: u64, item: T) {
        let cost = cost.max(1);
        self.cost += cost;
        let entry = BatchEntry { since: now, cost, item };
        match self.waiting.iter_mut().find(|waiting| &*waiting.tenant == tenant) {
            Some(waiting) => waiting.entries.push_back(entry),
            None => self.waiting.push(TenantEntries { tenant: tenant.into(), entries: [entry].into() }),
        }
    }

    /// Returns whether a full batch is waiting.
    pub fn is_full(&self) -> bool {
        !self.waiting.is_empty() && self.cost >= self.limits.max_cost
    }

    /// Returns when the next batch is due. The wait counts from the oldest entry: later entries do not extend it.
    pub fn next_due(&self, now: Instant, has_idle_reader: bool) -> BatchDue {
        let oldest = self.waiting.iter().filter_map(|waiting| Some(waiting.entries.front()?.since)).min();
        let Some(oldest) = oldest else { return BatchDue::Never };
        let deadline = oldest + self.limits.max_wait;
        if has_idle_reader || self.is_full() || deadline <= now { BatchDue::Now } else { BatchDue::At(deadline) }
    }

    /// Removes and returns the next batch: the tenants take turns, and each one's oldest entries are first. Up to the
    /// cost limit, at least one entry unless the batcher is empty.
    pub fn take(&mut self) -> Vec<T> {
        let mut batch = Vec::new();
        let mut budget = self.limits.max_cost;
        while let Some(position) = self.next_tenant() {
            let next = &mut self.waiting[position];
            let fits = |entry: &mut BatchEntry<T>| batch.is_empty() || entry.cost <= budget;
            // If it does not fit, it begins the next batch.
            let Some(entry) = next.entries.pop_front_if(fits) else { break };
            let tenant = Arc::clone(&next.tenant);
            if next.entries.is_empty() {
                self.waiting.swap_remove(position);
            }
            self.record_turn(tenant);
            budget = budget.saturating_sub(entry.cost);
            self.cost -= entry.cost;
            batch.push(entry.item);
        }
        batch
    }

    /// Returns the position of the tenant that was served longest ago.
    fn next_tenant(&self) -> Option<usize> {
        let last_turn = |waiting: &TenantEntries<T>| self.served.get(&waiting.tenant).copied().unwrap_or_default();
        let oldest = |waiting: &TenantEntries<T>| waiting.entries.front().map(|entry| entry.since);
        let order = |(_, waiting): &(usize, &TenantEntries<T>)| (last_turn(waiting), oldest(waiting));
        self.waiting.iter().enumerate().min_by_key(order).map(|(position, _)| position)
    }

    fn record_turn(&mut self, tenant: Arc<str>) {
        self.turns += 1;
        self.served.insert(tenant, self.turns);
        if self.served.len() > MAX_REMEMBERED_TENANTS {
            let before = self.turns - MAX_REMEMBERED_TENANTS as u64 / 2;
            self.served.retain(|_, turn| *turn > before);
        }
    }
}

/// Returns how many pages must be in flight to keep `readers` readers busy: one micro-batch per reader, one that is
/// ready, and one more on its way to or from them.
pub fn target_pages_in_flight(limits: BatchLimits, readers: usize) -> u32 {
    let batch = (limits.max_cost / A4_PAGE_PIXELS).max(1) as u32;
    batch * (readers as u32 + 1) + batch.max(MIN_PAGES_IN_TRANSIT)
}

/// Returns the cost of a page in a micro-batch and in memory: its pixels.
pub(crate) fn page_cost(image: &PageImage) -> u64 {
    u64::from(image.width()) * u64::from(image.height())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quire_pp_ocr::Provider;

    use super::*;

    const LIMITS: BatchLimits = BatchLimits { max_cost: 100, max_wait: Duration::from_millis(20) };

    #[test]
    fn a_later_page_does_not_extend_the_wait() {
        let start = Instant::now();
        let mut batcher = Batcher::new(LIMITS);
        batcher.push(start, 10, 'a');
        batcher.push(start + Duration::from_millis(15), 10, 'b');
        assert_eq!(batcher.next_due(start + Duration::from_millis(15), false), BatchDue::At(start + LIMITS.max_wait));
        assert_eq!(batcher.next_due(start + LIMITS.max_wait, false), BatchDue::Now);
        assert_eq!(batcher.take(), ['a', 'b']);
    }

    #[test]
    fn a_batch_is_due_at_once_when_a_reader_is_idle() {
        let now = Instant::now();
        let mut batcher = Batcher::new(LIMITS);
        assert_eq!(batcher.next_due(now, true), BatchDue::Never);
        batcher.push(now, 1, ());
        assert_eq!(batcher.next_due(now, true), BatchDue::Now);
    }

    #[test]
    fn with_a_cost_limit_of_zero_every_page_goes_alone() {
        let now = Instant::now();
        let mut batcher = Batcher::new(BatchLimits { max_cost: 0, ..LIMITS });
        assert!(!batcher.is_full());
        batcher.push(now, 10, 'a');
        assert_eq!((batcher.is_full(), batcher.next_due(now, false)), (true, BatchDue::Now));
        assert_eq!(batcher.take(), ['a']);
    }

    #[test]
    fn a_page_over_the_cost_limit_goes_alone() {
        let now = Instant::now();
        let mut batcher = Batcher::new(LIMITS);
        batcher.push(now, 30, 'a');
        batcher.push(now, 1000, 'b');
        batcher.push(now, 30, 'c');
        assert_eq!(batcher.take(), ['a']);
        assert_eq!(batcher.take(), ['b']);
        assert_eq!(batcher.take(), ['c']);
        assert!(batcher.take().is_empty());
    }

    #[test]
    fn tenants_take_turns() {
        let now = Instant::now();
        let mut batcher = Batcher::new(LIMITS);
        for (tenant, item) in [("a", 1), ("a", 2), ("a", 3)] {
            batcher.push_for(tenant, now, 100, item);
        }
        assert_eq!(batcher.take(), [1]);
        batcher.push_for("b", now, 100, 10);
        assert_eq!(batcher.take(), [10], "a tenant that was not served yet is the next");
        for (tenant, item) in [("b", 11), ("c", 20), ("b", 12)] {
            batcher.push_for(tenant, now, 50, item);
        }
        let batches: Vec<Vec<i32>> = (0..5).map(|_| batcher.take()).collect();
        assert_eq!(batches, [vec![20], vec![2], vec![11], vec![3], vec![12]]);
        for tenant in 0..3 * MAX_REMEMBERED_TENANTS as i32 {
            batcher.push_for(&tenant.to_string(), now, 1, tenant);
            batcher.take();
        }
        assert!(batcher.served.len() <= MAX_REMEMBERED_TENANTS + 1);
    }

    #[test]
    fn the_target_is_a_full_batch_for_every_reader() {
        let limits_of = |provider| BatchLimits::of(&BatchPolicy::for_provider(provider));
        assert_eq!(
            target_pages_in_flight(limits_of(Provider::OnnxRuntime), 1),
            4,
            "one is read, one is ready, two are in transit"
        );
        let gpu = BatchLimits { max_cost: 16 * A4_PAGE_PIXELS, ..limits_of(Provider::Cuda) };
        assert_eq!(target_pages_in_flight(gpu, 2), 16 * 4, "two batches are read, one is ready, one is in transit");
    }

    proptest! {
        #[test]
        fn every_page_leaves_once_in_order_within_the_limit(costs in prop::collection::vec(0_u64..150, 0..60)) {
            let now = Instant::now();
            let mut batcher = Batcher::new(LIMITS);
            for (index, cost) in costs.iter().enumerate() {
                batcher.push(now, *cost, index);
            }
            let mut taken = Vec::new();
            while batcher.next_due(now, true) == BatchDue::Now {
                let batch = batcher.take();
                prop_assert!(!batch.is_empty());
                let cost: u64 = batch.iter().map(|index| costs[*index].max(1)).sum();
                prop_assert!(cost <= LIMITS.max_cost || batch.len() == 1);
                taken.extend(batch);
            }
            prop_assert_eq!(taken, (0..costs.len()).collect::<Vec<_>>());
            prop_assert_eq!(batcher.cost, 0);
        }

        #[test]
        fn no_entry_waits_longer_than_max_wait(gaps in prop::collection::vec(0_u64..15, 1..30)) {
            let mut now = Instant::now();
            let mut batcher = Batcher::new(BatchLimits { max_cost: u64::MAX, ..LIMITS });
            let mut pushed: VecDeque<Instant> = VecDeque::new();
            for gap in gaps {
                let next = now + Duration::from_millis(gap);
                while let BatchDue::At(due) = batcher.next_due(now, false) {
                    if due > next {
                        break;
                    }
                    now = due;
                    for () in batcher.take() {
                        let since = pushed.pop_front().expect("an entry was pushed before");
                        prop_assert!(now - since <= LIMITS.max_wait);
                    }
                }
                now = next;
                batcher.push(now, 1, ());
                pushed.push_back(now);
            }
        }
    }
}
