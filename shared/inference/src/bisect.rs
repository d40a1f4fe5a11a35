//! Bisects a failed batch, so that one bad item fails alone.

use crate::model_error::ModelError;

/// Runs all items in one batch. If the run returns an error, runs each half separately, down to single items: only an
/// item that fails alone fails. A wrong number of outputs counts as an error.
///
/// Takes at most 2·log₂(n) + 1 runs to isolate one bad item of n.
pub fn run_with_bisection<T, R>(
    items: &[T],
    run: &mut impl FnMut(&[T]) -> Result<Vec<R>, ModelError>,
) -> Vec<Result<R, ModelError>> {
    if items.is_empty() {
        return Vec::new();
    }
    let counted = run(items).and_then(|answers| {
        let expected = items.len();
        let found = answers.len();
        if expected == found {
            Ok(answers)
        } else {
            Err(ModelError::shape(format!("[{expected}, …]"), format!("[{found}, …]")))
        }
    });
    match counted {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(error) if items.len() == 1 => vec![Err(error)],
        Err(_) => {
            let (first, second) = items.split_at(items.len() / 2);
            let mut answers = run_with_bisection(first, run);
            answers.extend(run_with_bisection(second, run));
            answers
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn only_poisonous_items_fail_and_results_keep_their_order(
            poison in prop::collection::vec(any::<bool>(), 0..40),
        ) {
            let items: Vec<(usize, bool)> = poison.iter().copied().enumerate().collect();
            let mut run = |items: &[(usize, bool)]| {
                let poisoned = items.iter().any(|item| item.1);
                let answers = items.iter().map(|item| item.0).collect();
                if poisoned { Err(ModelError::NotANumber) } else { Ok(answers) }
            };
            let answers = run_with_bisection(&items, &mut run);
            prop_assert_eq!(answers.len(), items.len());
            for (answer, (index, poison)) in answers.into_iter().zip(items) {
                prop_assert_eq!(answer, if poison { Err(ModelError::NotANumber) } else { Ok(index) });
            }
        }
    }

    #[test]
    fn too_few_outputs_are_an_error() {
        let answers = run_with_bisection(&[1, 2], &mut |_: &[i32]| Ok(Vec::<i32>::new()));
        assert!(answers.iter().all(Result::is_err));
    }
}
