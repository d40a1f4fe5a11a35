//! Decides what happens to a page, by the outcomes of its engines. Pure: time is passed in.
//!
//! A page fails only after every engine of its plan has failed on it. A page whose engines do not respond is retried:
//! without spending an attempt if the page cannot be the cause, as one of a limited number of attempts otherwise.

use std::time::{Duration, Instant};

use quire_routes::ReadPlan;
use quire_tasks::{EngineName, Failure, FallbackReason, PageText, TriedEngine};

use crate::engine_guard::EngineOutcome;

/// The shortest delay of a postponed page.
const MIN_DELAY: Duration = Duration::from_secs(1);
/// The longest delay of a postponed page: a page must not wait long after an operator resumes its engine.
const MAX_DELAY: Duration = Duration::from_secs(30);
/// Delay for an overloaded engine that sends no `Retry-After`.
const OVERLOADED_DELAY: Duration = Duration::from_secs(5);
/// Delay for a paused engine.
const PAUSED_DELAY: Duration = Duration::from_secs(10);

/// The attempts of a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttemptBudget {
    /// The receive count, from 1.
    pub(crate) attempt: u32,
    pub(crate) max_attempts: u32,
    /// The delay before the next attempt.
    pub(crate) backoff: Duration,
}

/// What happens to a page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PageDecision {
    /// Complete the page with this text.
    Complete(Box<PageText>),
    /// Complete the page as failed.
    Fail(Failure),
    /// Send the page again after this delay, without spending an attempt.
    Postpone(Duration),
    /// Release the page with this visibility timeout; this was an attempt.
    Retry(Duration),
    /// Move the page to the dead-letter queue, with this reason: its attempts are spent.
    DeadLetter(String),
    /// Leave the page leased: the process ends, and the lease expires.
    Abandon,
}

/// Returns whether the fallback reads the page as well.
pub(crate) fn needs_fallback(plan: &ReadPlan<'_>, first: &EngineOutcome) -> bool {
    match first {
        EngineOutcome::Text(text) => is_below(text, plan.fallback_below),
        EngineOutcome::Interrupted | EngineOutcome::Lost => false,
        _ => true,
    }
}

/// Returns whether a text is less certain than a route requires, or is known to be incomplete. A threshold of 0 turns
/// both off.
pub(crate) fn is_below(text: &PageText, threshold: f32) -> bool {
    threshold > 0.0 && (text.is_text_missing() || text.confidence().is_some_and(|confidence| confidence < threshold))
}

/// Decides by the outcome of the plan's first engine, and of the fallback if it was asked.
pub(crate) fn decide(
    plan: &ReadPlan<'_>,
    first: EngineOutcome,
    second: Option<EngineOutcome>,
    attempts: AttemptBudget,
    now: Instant,
) -> PageDecision {
    let fallback = plan.fallback.map(|entry| &entry.engine);
    match (first, second, fallback) {
        (EngineOutcome::Text(first), None, _) => PageDecision::Complete(first),
        (EngineOutcome::Text(first), Some(EngineOutcome::Text(second)), _) => {
            PageDecision::Complete(more_confident(first, second))
        }
        (EngineOutcome::Text(mut text), Some(other), Some(fallback)) => {
            text.tried.push(tried(fallback.clone(), &other));
            PageDecision::Complete(text)
        }
        (other, Some(EngineOutcome::Text(mut text)), _) => {
            text.tried.push(tried(plan.first.engine.clone(), &other));
            PageDecision::Complete(text)
        }
        (first, second, _) => decide_without_text(plan, &first, second.as_ref(), attempts, now),
    }
}

/// Returns the complete text, if the other is known to be incomplete; otherwise the one with the higher confidence; the
/// first if they are equal or one has no confidence.
fn more_confident(mut first: Box<PageText>, mut second: Box<PageText>) -> Box<PageText> {
    let is_second_better = match (first.is_text_missing(), second.is_text_missing()) {
        (true, false) => true,
        (false, true) => false,
        _ => matches!((first.confidence(), second.confidence()), (Some(a), Some(b)) if b > a),
    };
    if is_second_better {
        second.tried.push(less_confident(&first));
        second
    } else {
        first.tried.push(less_confident(&second));
        first
    }
}

fn less_confident(text: &PageText) -> TriedEngine {
    TriedEngine {
        engine: text.engine.clone(),
        why: FallbackReason::LessSure,
        code: None,
        confidence: text.confidence(),
    }
}

/// Returns the note of an engine that has not read a page.
pub(crate) fn tried(engine: EngineName, outcome: &EngineOutcome) -> TriedEngine {
    let code = failure_of(outcome).map(|failure| failure.code);
    let why = if code.is_some() { FallbackReason::Failed } else { FallbackReason::Unavailable };
    TriedEngine { engine, why, code, confidence: None }
}

/// Returns the failure of an engine that has seen the page.
fn failure_of(outcome: &EngineOutcome) -> Option<&Failure> {
    match outcome {
        EngineOutcome::Failed(failure) | EngineOutcome::Stuck(failure) => Some(failure),
        _ => None,
    }
}

fn decide_without_text(
    plan: &ReadPlan<'_>,
    first: &EngineOutcome,
    second: Option<&EngineOutcome>,
    attempts: AttemptBudget,
    now: Instant,
) -> PageDecision {
    let outcomes = || std::iter::once(first).chain(second);
    if outcomes().any(|outcome| *outcome == EngineOutcome::Lost) {
        return PageDecision::Abandon;
    }
    let is_last_attempt = attempts.attempt >= attempts.max_attempts;
    let failures: Vec<&Failure> = outcomes().filter_map(failure_of).collect();
    match failures[..] {
        [failure] if second.is_none() || is_last_attempt => return PageDecision::Fail(failure.clone()),
        [one, other] => return PageDecision::Fail(join_failures(plan, one, other)),
        [_] => return PageDecision::Retry(attempts.backoff),
        _ => {}
    }
    let spent = outcomes().find_map(|outcome| match outcome {
        EngineOutcome::Interrupted => Some(("its engine was interrupted", Duration::ZERO)),
        EngineOutcome::Unavailable { spends_attempt: true, .. } => {
            Some(("its engine did not respond", attempts.backoff))
        }
        _ => None,
    });
    match spent {
        Some((why, _)) if is_last_attempt => PageDecision::DeadLetter(format!(
            "The page was received {} times, and at the last attempt {why}.",
            attempts.max_attempts
        )),
        Some((_, delay)) => PageDecision::Retry(delay),
        None => {
            let shortest = outcomes().map(|outcome| delay_for(outcome, now)).min().unwrap_or(MAX_DELAY);
            PageDecision::Postpone(shortest.clamp(MIN_DELAY, MAX_DELAY))
        }
    }
}

/// Returns a failure with the code of the first engine and the messages of both.
fn join_failures(plan: &ReadPlan<'_>, first: &Failure, second: &Failure) -> Failure {
    let fallback = plan.fallback.map(|entry| entry.engine.to_string()).unwrap_or_default();
    Failure::new(first.code, format!("{}: {}; {fallback}: {}", plan.first.engine, first.message, second.message))
}

/// Returns after which time the engine may be able to read the page.
fn delay_for(outcome: &EngineOutcome, now: Instant) -> Duration {
    match outcome {
        EngineOutcome::Blocked { until: Some(until) } | EngineOutcome::Unavailable { until: Some(until), .. } => {
            until.saturating_duration_since(now)
        }
        EngineOutcome::Throttled { wait } => wait.unwrap_or(OVERLOADED_DELAY),
        _ => PAUSED_DELAY,
    }
}

#[cfg(test)]
mod tests;
