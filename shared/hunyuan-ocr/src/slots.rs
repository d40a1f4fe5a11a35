//! Scheduler of slots: which page is in which slot, and what runs next. Pure: no model, no clock.

/// State of an occupied slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SlotState {
    /// Tokens in the slot's cache.
    cached: usize,
    /// The last token, which is not in the cache yet.
    last: u32,
}

/// One slot in a decoding run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DecodeRow {
    /// The last token.
    pub(crate) token: u32,
    /// Tokens in the cache before it.
    pub(crate) cached: usize,
    /// Whether the slot has a page; the output of an empty slot is ignored.
    pub(crate) occupied: bool,
}

/// What to run next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NextRun {
    /// The prompt of a page, in this free slot.
    Prefill(usize),
    /// One more token for the slots from the first one on.
    Decode(Vec<DecodeRow>),
    /// Nothing, until there is a page.
    Idle,
}

/// Continuous batching with a fixed number of slots. A finished page frees its slot immediately. At most one prompt
/// runs between two decoding runs, so that pages in flight are delayed by at most one prompt.
#[derive(Debug)]
pub(crate) struct SlotScheduler {
    occupants: Vec<Option<SlotState>>,
    prefilled: bool,
}

impl SlotScheduler {
    pub(crate) fn new(count: usize) -> Self {
        Self { occupants: vec![None; count], prefilled: false }
    }

    /// Returns whether a page could start now.
    pub(crate) fn can_start_page(&self) -> bool {
        self.free().is_some() && (!self.prefilled || self.is_empty())
    }

    /// Returns whether no page is in flight.
    pub(crate) fn is_empty(&self) -> bool {
        self.occupants.iter().all(Option::is_none)
    }

    /// Returns what to run next. `ready`: whether a page waits for a slot.
    pub(crate) fn next(&mut self, ready: bool) -> NextRun {
        match self.free() {
            Some(slot) if ready && self.can_start_page() => {
                self.prefilled = true;
                NextRun::Prefill(slot)
            }
            _ if self.is_empty() => NextRun::Idle,
            _ => {
                self.prefilled = false;
                NextRun::Decode(self.rows())
            }
        }
    }

    /// Starts a page in a slot, with the length of its prompt and its first token.
    pub(crate) fn start(&mut self, slot: usize, cached: usize, token: u32) {
        self.occupants[slot] = Some(SlotState { cached, last: token });
    }

    /// Appends a token to a slot.
    pub(crate) fn advance(&mut self, slot: usize, token: u32) {
        if let Some(occupant) = &mut self.occupants[slot] {
            *occupant = SlotState { cached: occupant.cached + 1, last: token };
        }
    }

    /// Frees a slot.
    pub(crate) fn release(&mut self, slot: usize) {
        self.occupants[slot] = None;
    }

    /// Returns the first free slot: a run includes all slots up to the last occupied one, so lower slots are better.
    fn free(&self) -> Option<usize> {
        self.occupants.iter().position(Option::is_none)
    }

    fn rows(&self) -> Vec<DecodeRow> {
        let count = self.occupants.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let row = |occupant: &Option<SlotState>| match *occupant {
            Some(SlotState { cached, last }) => DecodeRow { token: last, cached, occupied: true },
            // Writes to the first position of an empty slot, which the next page overwrites.
            None => DecodeRow { token: 0, cached: 0, occupied: false },
        };
        self.occupants[..count].iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// Runs pages with these numbers of tokens. Returns the runs, and when each page started and ended.
    fn simulate(slots: usize, pages: &[usize]) -> (Vec<NextRun>, Vec<(usize, usize)>) {
        let mut scheduler = SlotScheduler::new(slots);
        let mut waiting: VecDeque<usize> = (0..pages.len()).collect();
        let mut inside: Vec<Option<(usize, usize)>> = vec![None; slots];
        let mut steps = Vec::new();
        let mut spans = vec![(0, 0); pages.len()];
        loop {
            let step = scheduler.next(!waiting.is_empty());
            steps.push(step.clone());
            match step {
                NextRun::Idle => return (steps, spans),
                NextRun::Prefill(slot) => {
                    let page = waiting.pop_front().expect("a page is waiting");
                    assert_eq!(inside[slot], None, "the slot is free");
                    spans[page].0 = steps.len();
                    scheduler.start(slot, 10 * (page + 1), page as u32);
                    inside[slot] = Some((page, 1));
                }
                NextRun::Decode(rows) => {
                    for (slot, row) in rows.iter().enumerate() {
                        assert_eq!(row.occupied, inside[slot].is_some());
                        let Some((page, tokens)) = &mut inside[slot] else { continue };
                        assert_eq!((row.token, row.cached), (*page as u32, 10 * (*page + 1) + *tokens - 1));
                        scheduler.advance(slot, *page as u32);
                        *tokens += 1;
                    }
                    assert!(inside.iter().skip(rows.len()).all(Option::is_none), "every page in flight decodes");
                }
            }
            for (slot, place) in inside.iter_mut().enumerate() {
                if let Some((page, _)) = place.take_if(|(page, tokens)| *tokens >= pages[*page]) {
                    spans[page].1 = steps.len();
                    scheduler.release(slot);
                }
            }
        }
    }

    #[test]
    fn a_page_that_ends_frees_its_slot_for_the_next_at_once() {
        let (steps, spans) = simulate(2, &[3, 9, 3]);
        let prefills: Vec<(usize, &NextRun)> =
            steps.iter().enumerate().filter(|(_, step)| matches!(step, NextRun::Prefill(_))).collect();
        let expected = [(0, &NextRun::Prefill(0)), (2, &NextRun::Prefill(1)), (4, &NextRun::Prefill(0))];
        assert_eq!(prefills, expected, "one prompt between two decoding runs");
        assert_eq!(spans[0].1, 4, "the first page ended with the run before the third page's prompt");
        assert!(spans[2].1 < spans[1].1, "the third page ends before the second");
    }

    #[test]
    fn decoding_runs_no_more_slots_than_up_to_the_last_page() {
        let (steps, _) = simulate(8, &[3, 3]);
        let widest = steps.iter().map(|step| if let NextRun::Decode(rows) = step { rows.len() } else { 0 }).max();
        assert_eq!(widest, Some(2));
    }

    proptest! {
        #[test]
        fn every_page_is_decoded_and_prompts_alternate_with_decoding(
            slots in 1_usize..9,
            pages in prop::collection::vec(1_usize..20, 0..30),
        ) {
            let (steps, spans) = simulate(slots, &pages);
            prop_assert!(spans.iter().all(|(start, end)| start <= end && *end > 0));
            prop_assert!(spans.is_sorted_by_key(|(start, _)| *start), "pages start in order");
            let occupied = |step: &NextRun| match step {
                NextRun::Decode(rows) => rows.iter().filter(|row| row.occupied).count(),
                NextRun::Prefill(_) | NextRun::Idle => 0,
            };
            let decoded: usize = steps.iter().map(occupied).sum();
            let expected = pages.iter().map(|tokens| tokens - 1).sum::<usize>();
            prop_assert_eq!(decoded, expected, "no token is decoded for nothing");
        }
    }
}
