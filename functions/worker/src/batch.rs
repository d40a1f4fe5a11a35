//! Gathers pages of all documents and tenants into micro-batches.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use anyhow::Context;
use quire_pp_ocr::BatchPolicy;
use tokio::sync::mpsc;

use crate::{
    lane::Ask,
    model::{ModelHandle, Queued},
    render,
};

/// What bounds a micro-batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// The sum of the entries' costs (pixels) that a batch has at most; an entry that costs more goes alone.
    pub max_cost: u64,
    /// How long the oldest entry waits for company.
    pub max_wait: Duration,
}

impl BatchLimits {
    /// Those of a policy.
    pub const fn of(policy: &BatchPolicy) -> Self {
        Self { max_cost: policy.max_batch_pixels, max_wait: Duration::from_millis(policy.max_wait_ms) }
    }
}

/// The policy: a batch leaves when it is full, when its oldest entry has waited long enough, or at once when a reader is
/// idle. Pure: time is passed in.
#[derive(Debug)]
pub struct Batcher<T> {
    limits: BatchLimits,
    waiting: VecDeque<Entry<T>>,
    cost: u64,
}

#[derive(Debug)]
struct Entry<T> {
    since: Instant,
    cost: u64,
    item: T,
}

/// When the next batch leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// Now.
    Now,
    /// At this time, unless it is full or a reader idle before.
    At(Instant),
    /// Nothing waits.
    Never,
}

impl<T> Batcher<T> {
    /// An empty batcher.
    pub const fn new(limits: BatchLimits) -> Self {
        Self { limits, waiting: VecDeque::new(), cost: 0 }
    }

    /// Adds an entry that costs `cost`, at least 1: nothing is free, or a batch could be endless.
    pub fn push(&mut self, now: Instant, cost: u64, item: T) {
        let cost = cost.max(1);
        self.cost += cost;
        self.waiting.push_back(Entry { since: now, cost, item });
    }

    /// Whether a batch's worth is waiting: then nothing more should be pushed.
    pub fn is_full(&self) -> bool {
        !self.waiting.is_empty() && self.cost >= self.limits.max_cost
    }

    /// When the next batch leaves. The wait counts from the oldest entry: later ones do not extend it.
    pub fn leaves(&self, now: Instant, reader_idle: bool) -> Leaves {
        let Some(oldest) = self.waiting.front() else { return Leaves::Never };
        let due = oldest.since + self.limits.max_wait;
        if reader_idle || self.is_full() || due <= now { Leaves::Now } else { Leaves::At(due) }
    }

    /// The next batch, oldest entries first: at least one, and as many as the cost allows.
    pub fn take(&mut self) -> Vec<T> {
        let mut batch = Vec::new();
        let mut left = self.limits.max_cost;
        while let Some(entry) = self.waiting.pop_front_if(|entry| batch.is_empty() || entry.cost <= left) {
            left = left.saturating_sub(entry.cost);
            self.cost -= entry.cost;
            batch.push(entry.item);
        }
        batch
    }
}

/// Fills batches and hands them to the model, until no page comes any more.
pub(crate) async fn run(limits: BatchLimits, mut pages: mpsc::Receiver<Ask>, model: ModelHandle) -> anyhow::Result<()> {
    let mut batcher = Batcher::new(limits);
    let mut open = true;
    loop {
        let now = Instant::now();
        // With no page to come, waiting for company is of no use.
        let leaves = batcher.leaves(now, model.has_idle_reader() || !open);
        if leaves == Leaves::Never && !open {
            return Ok(());
        }
        tokio::select! {
            biased;
            permit = model.reserve(), if leaves == Leaves::Now => {
                permit.context("the model's threads have ended")?.send(batcher.take());
            }
            page = pages.recv(), if open && !batcher.is_full() => match page {
                Some(ask) => {
                    let since = Instant::now();
                    batcher.push(since, render::cost(&ask.image), Queued { ask, since });
                }
                None => open = false,
            },
            () = model.reader_becomes_idle(), if leaves != Leaves::Never => {}
            () = sleep_until(leaves) => {}
        }
    }
}

async fn sleep_until(leaves: Leaves) {
    match leaves {
        Leaves::At(due) => tokio::time::sleep_until(due.into()).await,
        Leaves::Now | Leaves::Never => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: BatchLimits = BatchLimits { max_cost: 100, max_wait: Duration::from_millis(20) };

    #[test]
    fn a_later_page_does_not_extend_the_wait() {
        let start = Instant::now();
        let mut batcher = Batcher::new(LIMITS);
        batcher.push(start, 10, 'a');
        batcher.push(start + Duration::from_millis(15), 10, 'b');
        assert_eq!(batcher.leaves(start + Duration::from_millis(15), false), Leaves::At(start + LIMITS.max_wait));
        assert_eq!(batcher.leaves(start + LIMITS.max_wait, false), Leaves::Now);
        assert_eq!(batcher.take(), ['a', 'b']);
    }

    #[test]
    fn an_idle_reader_is_not_kept_waiting() {
        let now = Instant::now();
        let mut batcher = Batcher::new(LIMITS);
        assert_eq!(batcher.leaves(now, true), Leaves::Never);
        batcher.push(now, 1, ());
        assert_eq!(batcher.leaves(now, true), Leaves::Now);
    }

    #[test]
    fn without_a_budget_every_page_goes_alone_at_once() {
        let now = Instant::now();
        let mut batcher = Batcher::new(BatchLimits { max_cost: 0, ..LIMITS });
        assert!(!batcher.is_full());
        batcher.push(now, 10, 'a');
        assert_eq!((batcher.is_full(), batcher.leaves(now, false)), (true, Leaves::Now));
        assert_eq!(batcher.take(), ['a']);
    }

    #[test]
    fn a_page_over_the_budget_goes_alone() {
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

    proptest! {
        #[test]
        fn every_page_leaves_once_in_order_and_no_batch_costs_too_much(costs in prop::collection::vec(0_u64..150, 0..60)) {
            let now = Instant::now();
            let mut batcher = Batcher::new(LIMITS);
            for (index, cost) in costs.iter().enumerate() {
                batcher.push(now, *cost, index);
            }
            let mut seen = Vec::new();
            while batcher.leaves(now, true) == Leaves::Now {
                let batch = batcher.take();
                prop_assert!(!batch.is_empty());
                let cost: u64 = batch.iter().map(|index| costs[*index].max(1)).sum();
                prop_assert!(cost <= LIMITS.max_cost || batch.len() == 1);
                seen.extend(batch);
            }
            prop_assert_eq!(seen, (0..costs.len()).collect::<Vec<_>>());
            prop_assert_eq!(batcher.cost, 0);
        }

        #[test]
        fn no_entry_waits_longer_than_it_may(gaps in prop::collection::vec(0_u64..15, 1..30)) {
            let mut now = Instant::now();
            let mut batcher = Batcher::new(BatchLimits { max_cost: u64::MAX, ..LIMITS });
            let mut pushed: VecDeque<Instant> = VecDeque::new();
            for gap in gaps {
                let next = now + Duration::from_millis(gap);
                while let Leaves::At(due) = batcher.leaves(now, false) {
                    if due > next {
                        break;
                    }
                    now = due;
                    for () in batcher.take() {
                        let since = pushed.pop_front().expect("pushed before");
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
