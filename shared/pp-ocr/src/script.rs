//! Tells in which script a line is written, so that lines in scripts that the recognizer cannot read are reported.
//!
//! The classifier is a multinomial logistic regression on the mean of the features that PP-OCRv6 small's recognizer
//! computes at each step of a line. `tests/bench/train_scripts.py` trains it on rendered lines; see there for the data
//! and the accuracy.

use ndarray::{Array3, ArrayView3};
use quire_tasks::Script;

use crate::{
    line_image::STEP_WIDTH,
    script_weights::{BIASES, FEATURES, SCRIPTS, WEIGHTS},
};

/// What the recognizer cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unreadable {
    Script(Script),
    /// Text as in a mirror.
    Mirrored,
}

/// The classes, in the order of the weights: `None` is a script that PP-OCRv6 reads.
const CLASSES: [Option<Unreadable>; SCRIPTS] = [
    Some(Unreadable::Script(Script::Arabic)),
    Some(Unreadable::Script(Script::Cyrillic)),
    Some(Unreadable::Script(Script::Devanagari)),
    Some(Unreadable::Script(Script::Greek)),
    None, // Chinese
    Some(Unreadable::Script(Script::Hangul)),
    Some(Unreadable::Script(Script::Hebrew)),
    None, // kana
    None, // Latin
    Some(Unreadable::Mirrored),
    Some(Unreadable::Script(Script::Other)),
    Some(Unreadable::Script(Script::Thai)),
    Some(Unreadable::Script(Script::Vietnamese)),
];

/// Returns the scores of the classes at each step, `[N, steps, SCRIPTS]`, from features `[N, steps, FEATURES]`. Empty
/// for another number of features.
pub(crate) fn script_scores(features: &Array3<f32>) -> Array3<f32> {
    let (lines, steps, depth) = features.dim();
    if depth != FEATURES {
        return Array3::zeros((0, 0, 0));
    }
    let mut scores = Array3::zeros((lines, steps, SCRIPTS));
    for (features, mut scores) in features.rows().into_iter().zip(scores.rows_mut()) {
        for ((score, weights), bias) in scores.iter_mut().zip(&WEIGHTS).zip(BIASES) {
            *score = bias + features.iter().zip(weights).map(|(feature, weight)| feature * weight).sum::<f32>();
        }
    }
    scores
}

/// The sum of the scores over the steps of a line.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ScriptScores {
    sums: [f32; SCRIPTS],
    steps: usize,
}

impl ScriptScores {
    /// Sums the scores of a line of a run, of which only the first `columns` have content. Empty if the model has none.
    pub(crate) fn of_run(scores: &ArrayView3<'_, f32>, line: usize, columns: usize) -> Self {
        let (lines, steps, classes) = scores.dim();
        let mut sum = Self::default();
        if line >= lines || classes != SCRIPTS {
            return sum;
        }
        sum.steps = columns.div_ceil(STEP_WIDTH).min(steps);
        for step in 0..sum.steps {
            for (class, total) in sum.sums.iter_mut().enumerate() {
                *total += scores[[line, step, class]];
            }
        }
        sum
    }

    /// Appends the next piece of the same line.
    pub(crate) fn append(&mut self, next: &Self) {
        self.steps += next.steps;
        self.sums.iter_mut().zip(&next.sums).for_each(|(sum, next)| *sum += next);
    }

    /// Returns the most probable class, and the probability that the line cannot be read. `None` if the scores are
    /// missing or the most probable class can be read.
    pub(crate) fn unreadable(&self) -> Option<(Unreadable, f32)> {
        if self.steps == 0 {
            return None;
        }
        let means = self.sums.map(|sum| sum / self.steps as f32);
        let max = means.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let odds = means.map(|mean| (mean - max).exp());
        let readable: f32 = odds.iter().zip(CLASSES).filter(|(_, class)| class.is_none()).map(|(odds, _)| odds).sum();
        let (best, _) = odds.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
        Some((CLASSES[best]?, 1.0 - readable / odds.iter().sum::<f32>()))
    }
}
