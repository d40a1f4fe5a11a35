//! How items are put into model runs, and what happens when a run fails.

use std::ops::Range;

use crate::ModelError;

/// Cuts items that are sorted by cost, the costliest first, into runs: each item is padded to the first one's cost, and
/// a run's padded cost stays within the budget. An item over the budget runs alone.
pub(crate) fn bounded_runs(costs: &[usize], budget: usize) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = 0;
    while let Some(&largest) = costs.get(start) {
        let fitting = (budget / largest.max(1)).max(1);
        let end = (start + fitting).min(costs.len());
        runs.push(start..end);
        start = end;
    }
    runs
}

/// Runs all items at once. When that fails, each half by itself, down to single items: what fails alone has failed, and
/// nothing else has. An answer of the wrong length is a failure.
pub(crate) fn run_isolating<T, R>(
    items: &[T],
    run: &mut impl FnMut(&[T]) -> Result<Vec<R>, ModelError>,
) -> Vec<Result<R, ModelError>> {
    if items.is_empty() {
        return Vec::new();
    }
    let counted = run(items).and_then(|answers| {
        let (expected, found) = (items.len(), answers.len());
        let wrong = || ModelError::Shape { expected: format!("[{expected}, …]"), found: format!("[{found}, …]") };
        if expected == found { Ok(answers) } else { Err(wrong()) }
    });
    match counted {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(error) if items.len() == 1 => vec![Err(error)],
        Err(_) => {
            let (first, second) = items.split_at(items.len() / 2);
            let mut answers = run_isolating(first, run);
            answers.extend(run_isolating(second, run));
            answers
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_run_is_padded_to_its_costliest_item() {
        assert_eq!(bounded_runs(&[300, 200, 100, 100], 600), [0..2, 2..4]);
        assert_eq!(bounded_runs(&[900, 300, 200], 600), [0..1, 1..3]);
        assert!(bounded_runs(&[], 600).is_empty());
    }

    #[test]
    fn without_a_budget_every_item_runs_alone() {
        assert_eq!(bounded_runs(&[0, 5, 3], 0), [0..1, 1..2, 2..3]);
    }

    proptest! {
        #[test]
        fn only_poison_items_fail_and_answers_keep_their_places(poison in prop::collection::vec(any::<bool>(), 0..40)) {
            let items: Vec<(usize, bool)> = poison.iter().copied().enumerate().collect();
            let mut run = |items: &[(usize, bool)]| {
                let poisoned = items.iter().any(|item| item.1);
                let answers = items.iter().map(|item| item.0).collect();
                if poisoned { Err(ModelError::NotANumber) } else { Ok(answers) }
            };
            let answers = run_isolating(&items, &mut run);
            prop_assert_eq!(answers.len(), items.len());
            for (answer, (index, poison)) in answers.into_iter().zip(items) {
                prop_assert_eq!(answer, if poison { Err(ModelError::NotANumber) } else { Ok(index) });
            }
        }

        #[test]
        fn runs_cover_all_items_within_the_budget(mut costs in prop::collection::vec(0_usize..500, 0..60), budget in 0_usize..2000) {
            costs.sort_unstable_by(|a, b| b.cmp(a));
            let runs = bounded_runs(&costs, budget);
            prop_assert_eq!(runs.iter().cloned().flatten().collect::<Vec<_>>(), (0..costs.len()).collect::<Vec<_>>());
            prop_assert!(runs.iter().all(|run| run.len() == 1 || costs[run.start] * run.len() <= budget));
        }
    }

    #[test]
    fn an_answer_that_is_too_short_is_a_failure() {
        let answers = run_isolating(&[1, 2], &mut |_: &[i32]| Ok(Vec::<i32>::new()));
        assert!(answers.iter().all(Result::is_err));
    }
}
