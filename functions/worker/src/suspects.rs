//! Pages that may have killed a worker, and when the next of them is read. Pure: the time is a parameter.
//!
//! A suspect is read alone, so it stops all others. To leave them at least half of the time, the worker reads other
//! pages after each suspect for as long as the suspect took, and suspects of different tenants take turns.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Suspects that wait to be read alone, each with the name of its tenant.
#[derive(Debug)]
pub(crate) struct SuspectQueue<T> {
    waiting: VecDeque<(String, T)>,
    last_tenant: Option<String>,
    not_before: Option<Instant>,
}

impl<T> Default for SuspectQueue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), last_tenant: None, not_before: None }
    }
}

impl<T> SuspectQueue<T> {
    pub(crate) fn push(&mut self, tenant: &str, suspect: T) {
        self.waiting.push_back((tenant.to_owned(), suspect));
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns when the next suspect may be read; `None` if none waits.
    pub(crate) fn next_at(&self, now: Instant) -> Option<Instant> {
        (!self.waiting.is_empty()).then(|| self.not_before.map_or(now, |not_before| not_before.max(now)))
    }

    /// Removes and returns the next suspect: the oldest of another tenant than the last one, or else the oldest.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let is_other = |(tenant, _): &(String, T)| Some(tenant) != self.last_tenant.as_ref();
        let position = self.waiting.iter().position(is_other).unwrap_or(0);
        let (tenant, suspect) = self.waiting.remove(position)?;
        self.last_tenant = Some(tenant);
        Some(suspect)
    }

    /// Records that the last suspect was read for this long: others have as long now.
    pub(crate) fn finished(&mut self, duration: Duration, now: Instant) {
        self.not_before = Some(now + duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_suspect_others_have_as_long_as_it_took() {
        let now = Instant::now();
        let mut suspects = SuspectQueue::default();
        assert_eq!(suspects.next_at(now), None);
        suspects.push("a", 1);
        suspects.push("a", 2);
        assert_eq!((suspects.next_at(now), suspects.pop(), suspects.len()), (Some(now), Some(1), 1));
        let later = now + Duration::from_secs(7);
        suspects.finished(Duration::from_secs(7), later);
        assert_eq!(suspects.next_at(later), Some(now + Duration::from_secs(14)));
    }

    #[test]
    fn suspects_of_different_tenants_take_turns() {
        let mut suspects = SuspectQueue::default();
        for (tenant, number) in [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5)] {
            suspects.push(tenant, number);
        }
        let order: Vec<i32> = std::iter::from_fn(|| suspects.pop()).collect();
        assert_eq!(order, [1, 4, 2, 5, 3]);
    }
}
