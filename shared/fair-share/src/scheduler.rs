//! The policy: which waiting tenant gets the next permit. Pure: no I/O and no clock.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Identifies one request that waits.
pub(crate) type Ticket = u64;

/// The permits of a pool and the requests that wait for one.
#[derive(Debug)]
pub(crate) struct Scheduler {
    total: usize,
    in_use: usize,
    /// Tenants that hold a permit or wait for one.
    tenants: HashMap<Arc<str>, TenantState>,
    /// Tenants with waiting requests; the first has the next turn.
    turns: VecDeque<Arc<str>>,
    last_ticket: Ticket,
}

#[derive(Debug, Default)]
struct TenantState {
    held: usize,
    /// First in, first out.
    waiting: VecDeque<Ticket>,
}

impl Scheduler {
    pub(crate) fn new(total: usize) -> Self {
        Self { total, in_use: 0, tenants: HashMap::new(), turns: VecDeque::new(), last_ticket: 0 }
    }

    pub(crate) const fn free(&self) -> usize {
        self.total - self.in_use
    }

    /// Takes a permit now, unless the tenant has to wait.
    pub(crate) fn try_acquire(&mut self, tenant: &Arc<str>) -> bool {
        // Requests of one tenant do not overtake each other.
        let has_waiting = self.tenants.get(tenant).is_some_and(|state| !state.waiting.is_empty());
        if has_waiting || !self.may_take(self.held_by(tenant)) {
            return false;
        }
        self.take(tenant);
        true
    }

    /// Adds a request to the end of its tenant's queue.
    pub(crate) fn enqueue(&mut self, tenant: &Arc<str>) -> Ticket {
        self.last_ticket += 1;
        let state = self.tenants.entry(Arc::clone(tenant)).or_default();
        if state.waiting.is_empty() {
            self.turns.push_back(Arc::clone(tenant));
        }
        state.waiting.push_back(self.last_ticket);
        self.last_ticket
    }

    /// Removes a request that waits no longer.
    pub(crate) fn cancel(&mut self, tenant: &Arc<str>, ticket: Ticket) {
        let Some(state) = self.tenants.get_mut(tenant) else { return };
        state.waiting.retain(|waiting| *waiting != ticket);
        self.end_turns_without_requests(tenant);
        self.remove_if_idle(tenant);
    }

    /// Returns a tenant's permit.
    pub(crate) fn release(&mut self, tenant: &Arc<str>) {
        if let Some(state) = self.tenants.get_mut(tenant).filter(|state| state.held > 0) {
            state.held -= 1;
            self.in_use -= 1;
        }
        self.remove_if_idle(tenant);
    }

    /// Gives a permit to the next request that may have one: the first request of the first tenant, in the order of
    /// their turns, that is below its threshold.
    pub(crate) fn grant(&mut self) -> Option<(Arc<str>, Ticket)> {
        let position = self.turns.iter().position(|tenant| self.may_take(self.held_by(tenant)))?;
        let tenant = self.turns.remove(position)?;
        let ticket = self.tenants.get_mut(&tenant)?.waiting.pop_front()?;
        self.take(&tenant);
        if self.tenants.get(&tenant).is_some_and(|state| !state.waiting.is_empty()) {
            self.turns.push_back(Arc::clone(&tenant));
        }
        Some((tenant, ticket))
    }

    /// Returns whether another tenant holds a permit or waits for one.
    pub(crate) fn has_others(&self, tenant: &str) -> bool {
        self.tenants.len() > usize::from(self.tenants.contains_key(tenant))
    }

    /// Returns the tenants that hold permits, with the number of further ones that each may take now.
    pub(crate) fn capacities(&self) -> impl Iterator<Item = (&Arc<str>, usize)> {
        let holders = self.tenants.iter().filter(|(_, state)| state.held > 0);
        holders.map(|(tenant, state)| (tenant, self.capacity(state.held)))
    }

    /// Returns how many more permits a tenant that holds `held` may take now: the largest number `n` with
    /// `held + n <= 2 (free - n)`, and at least one for a tenant without permits.
    pub(crate) fn capacity(&self, held: usize) -> usize {
        let free = self.free();
        let below_threshold = (2 * free).saturating_sub(held) / 3;
        below_threshold.max(usize::from(held == 0 && free > 0))
    }

    fn may_take(&self, held: usize) -> bool {
        self.capacity(held) > 0
    }

    fn held_by(&self, tenant: &Arc<str>) -> usize {
        self.tenants.get(tenant).map_or(0, |state| state.held)
    }

    fn take(&mut self, tenant: &Arc<str>) {
        self.tenants.entry(Arc::clone(tenant)).or_default().held += 1;
        self.in_use += 1;
    }

    fn end_turns_without_requests(&mut self, tenant: &Arc<str>) {
        if self.tenants.get(tenant).is_some_and(|state| state.waiting.is_empty()) {
            self.turns.retain(|turn| turn != tenant);
        }
    }

    fn remove_if_idle(&mut self, tenant: &Arc<str>) {
        if self.tenants.get(tenant).is_some_and(|state| state.held == 0 && state.waiting.is_empty()) {
            self.tenants.remove(tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tenant(name: &str) -> Arc<str> {
        name.into()
    }

    /// Takes as many permits as the tenant may have.
    fn take_all(scheduler: &mut Scheduler, name: &str) -> usize {
        std::iter::from_fn(|| scheduler.try_acquire(&tenant(name)).then_some(())).count()
    }

    #[test]
    fn one_tenant_alone_gets_two_thirds_and_the_next_two_thirds_of_the_rest() {
        for (total, shares) in [(2, [1, 1, 0]), (3, [2, 1, 0]), (24, [16, 5, 2]), (96, [64, 21, 7])] {
            let mut scheduler = Scheduler::new(total);
            let taken = ["a", "b", "c"].map(|name| take_all(&mut scheduler, name));
            assert_eq!(taken, shares, "of {total}");
        }
    }

    #[test]
    fn waiting_tenants_take_turns() {
        let mut scheduler = Scheduler::new(1);
        assert!(scheduler.try_acquire(&tenant("x")));
        for name in ["a", "a", "a", "b", "c", "b"] {
            scheduler.enqueue(&tenant(name));
        }
        let mut holder = tenant("x");
        let mut order = Vec::new();
        loop {
            scheduler.release(&holder);
            let Some((next, _)) = scheduler.grant() else { break };
            order.push(next.to_string());
            holder = next;
        }
        assert_eq!(order, ["a", "b", "c", "a", "b", "a"]);
        assert!(scheduler.tenants.is_empty() && scheduler.turns.is_empty(), "nothing remains");
    }

    #[test]
    fn a_canceled_request_is_not_granted() {
        let mut scheduler = Scheduler::new(1);
        assert!(scheduler.try_acquire(&tenant("a")));
        let first = scheduler.enqueue(&tenant("b"));
        let second = scheduler.enqueue(&tenant("c"));
        scheduler.cancel(&tenant("b"), first);
        scheduler.release(&tenant("a"));
        assert_eq!(scheduler.grant(), Some((tenant("c"), second)));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Request(usize),
        Release(usize),
        Cancel(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0_usize..4).prop_map(Step::Request),
            2 => (0_usize..100).prop_map(Step::Release),
            1 => (0_usize..100).prop_map(Step::Cancel),
        ];
        prop::collection::vec(step, 0..200)
    }

    /// A pool in use: which tenants hold permits, and which wait.
    struct Simulation {
        scheduler: Scheduler,
        held: Vec<Arc<str>>,
        waiting: Vec<(Arc<str>, Ticket)>,
    }

    impl Simulation {
        fn new(total: usize) -> Self {
            Self { scheduler: Scheduler::new(total), held: Vec::new(), waiting: Vec::new() }
        }

        fn holds(&self, tenant: &Arc<str>) -> usize {
            self.held.iter().filter(|holder| *holder == tenant).count()
        }

        fn run(&mut self, step: &Step) {
            match step {
                Step::Request(number) => {
                    let tenant = tenant(&number.to_string());
                    if self.scheduler.try_acquire(&tenant) {
                        self.held.push(tenant);
                    } else {
                        let ticket = self.scheduler.enqueue(&tenant);
                        self.waiting.push((tenant, ticket));
                    }
                }
                Step::Release(index) if !self.held.is_empty() => {
                    let tenant = self.held.swap_remove(index % self.held.len());
                    self.scheduler.release(&tenant);
                }
                Step::Cancel(index) if !self.waiting.is_empty() => {
                    let (tenant, ticket) = self.waiting.swap_remove(index % self.waiting.len());
                    self.scheduler.cancel(&tenant, ticket);
                }
                Step::Release(_) | Step::Cancel(_) => {}
            }
            while let Some((tenant, ticket)) = self.scheduler.grant() {
                self.waiting.retain(|(_, waiting)| *waiting != ticket);
                self.held.push(tenant);
            }
        }
    }

    proptest! {
        #[test]
        fn no_permit_is_lost_or_granted_twice(total in 1_usize..12, steps in steps()) {
            let mut simulation = Simulation::new(total);
            for step in &steps {
                simulation.run(step);
                prop_assert!(simulation.held.len() <= total);
                prop_assert_eq!(simulation.scheduler.free(), total - simulation.held.len());
            }
        }

        #[test]
        fn a_tenant_without_permits_never_waits_while_one_is_free(total in 1_usize..12, steps in steps()) {
            let mut simulation = Simulation::new(total);
            for step in &steps {
                simulation.run(step);
                let starving = simulation.waiting.iter().any(|(tenant, _)| simulation.holds(tenant) == 0);
                prop_assert!(!starving || simulation.scheduler.free() == 0);
            }
        }

        #[test]
        fn one_tenant_never_takes_the_last_permits(total in 2_usize..40, requests in 1_usize..100) {
            let mut simulation = Simulation::new(total);
            for _ in 0..requests {
                simulation.run(&Step::Request(0));
            }
            let held = simulation.held.len();
            prop_assert_eq!(held, requests.min(2 * total / 3));
            prop_assert!(simulation.scheduler.try_acquire(&tenant("another")));
        }

        #[test]
        fn every_request_is_granted_once_permits_are_released(total in 1_usize..12, steps in steps()) {
            let mut simulation = Simulation::new(total);
            for step in &steps {
                simulation.run(step);
            }
            let requests = simulation.waiting.len() + simulation.held.len();
            for _ in 0..requests {
                simulation.run(&Step::Release(0));
            }
            prop_assert!(simulation.waiting.is_empty(), "{:?}", simulation.waiting);
            prop_assert!(simulation.held.is_empty());
        }

        #[test]
        fn a_request_waits_for_at_most_one_turn_of_each_other_tenant(others in 1_usize..6, queued in 1_usize..20) {
            let mut simulation = Simulation::new(1);
            for other in 1..=others {
                for _ in 0..queued {
                    simulation.run(&Step::Request(other));
                }
            }
            simulation.run(&Step::Request(0));
            let mut turns = 0;
            while simulation.holds(&tenant("0")) == 0 {
                simulation.run(&Step::Release(0));
                turns += 1;
            }
            prop_assert!(turns <= others + 1, "{} turns", turns);
        }
    }
}
