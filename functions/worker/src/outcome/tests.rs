use quire_routes::Config;
use quire_tasks::{FailureCode, Line, ReadAs};

use super::*;

const FIRST_ATTEMPT: AttemptBudget = AttemptBudget { attempt: 1, max_attempts: 5, backoff: Duration::from_secs(15) };
const LAST_ATTEMPT: AttemptBudget = AttemptBudget { attempt: 5, ..FIRST_ATTEMPT };

fn config(route: &str) -> Config {
    let server = r#"{"kind": "openai", "url": "http://127.0.0.1:1/v1", "model": "m"}"#;
    let json = format!(
        r#"{{"engines": {{"a@1": {server}, "b@1": {server}}},
            "routes": [{{"modes": ["text"], "primary": "a@1"{route}}}]}}"#
    );
    Config::parse(&json).expect("a valid configuration")
}

fn config_with_fallback() -> Config {
    config(r#", "fallback": "b@1", "fallback_below": 0.8"#)
}

fn text(engine: &str, confidence: Option<f32>) -> Box<PageText> {
    let line = Line { text: engine.to_owned(), confidence, polygon: None, ..Line::default() };
    Box::new(PageText::from_lines(engine.parse().expect("a valid engine name"), 1, 1, 0, vec![line]))
}

fn text_outcome(engine: &str, confidence: f32) -> EngineOutcome {
    EngineOutcome::Text(text(engine, Some(confidence)))
}

fn failed(message: &str) -> EngineOutcome {
    EngineOutcome::Failed(Failure::new(FailureCode::ModelFailed, message))
}

fn unavailable(spends_attempt: bool) -> EngineOutcome {
    EngineOutcome::Unavailable { until: None, spends_attempt }
}

fn decided(
    config: &Config,
    first: EngineOutcome,
    second: Option<EngineOutcome>,
    attempts: AttemptBudget,
) -> PageDecision {
    let plan = config.plan(&ReadAs::default()).expect("the mode is offered");
    decide(&plan, first, second, attempts, Instant::now())
}

/// Returns the engine whose text is kept, and the other engines with the reason.
fn kept(verdict: &PageDecision) -> (String, Vec<(String, FallbackReason)>) {
    let PageDecision::Complete(text) = verdict else { panic!("{verdict:?}") };
    (text.engine.to_string(), text.tried.iter().map(|tried| (tried.engine.to_string(), tried.why)).collect())
}

#[test]
fn the_more_confident_of_two_texts_is_kept_and_the_other_engine_is_named() {
    for (a, b, engine, other) in [(0.5, 0.9, "b@1", "a@1"), (0.5, 0.4, "a@1", "b@1"), (0.5, 0.5, "a@1", "b@1")] {
        let read =
            decided(&config_with_fallback(), text_outcome("a@1", a), Some(text_outcome("b@1", b)), FIRST_ATTEMPT);
        assert_eq!(kept(&read), (engine.to_owned(), vec![(other.to_owned(), FallbackReason::LessSure)]));
    }
    let unknown = decided(
        &config_with_fallback(),
        text_outcome("a@1", 0.1),
        Some(EngineOutcome::Text(text("b@1", None))),
        FIRST_ATTEMPT,
    );
    assert_eq!(kept(&unknown).0, "a@1");
}

#[test]
fn the_fallback_reads_a_page_with_low_confidence_or_without_text() {
    let config = config_with_fallback();
    let plan = config.plan(&ReadAs::default()).expect("the mode is offered");
    for (answer, requests) in [
        (text_outcome("a@1", 0.79), true),
        (text_outcome("a@1", 0.8), false),
        (EngineOutcome::Text(text("a@1", None)), false),
        (failed("x"), true),
        (EngineOutcome::Blocked { until: None }, true),
        (EngineOutcome::Throttled { wait: None }, true),
        (unavailable(true), true),
        (EngineOutcome::Interrupted, false),
        (EngineOutcome::Lost, false),
    ] {
        assert_eq!(needs_fallback(&plan, &answer), requests, "{answer:?}");
    }
}

#[test]
fn a_text_names_the_engine_that_did_not_read_it() {
    for (first, why) in [
        (failed("x"), FallbackReason::Failed),
        (unavailable(true), FallbackReason::Unavailable),
        (EngineOutcome::Blocked { until: None }, FallbackReason::Unavailable),
    ] {
        let read = decided(&config_with_fallback(), first, Some(text_outcome("b@1", 0.1)), FIRST_ATTEMPT);
        assert_eq!(kept(&read), ("b@1".to_owned(), vec![("a@1".to_owned(), why)]));
    }
    let read = decided(&config_with_fallback(), text_outcome("a@1", 0.1), Some(failed("x")), FIRST_ATTEMPT);
    assert_eq!(kept(&read), ("a@1".to_owned(), vec![("b@1".to_owned(), FallbackReason::Failed)]));
}

#[test]
fn a_page_fails_when_all_its_engines_have_failed_on_it() {
    let alone = decided(&config(""), failed("x"), None, FIRST_ATTEMPT);
    assert_eq!(alone, PageDecision::Fail(Failure::new(FailureCode::ModelFailed, "x")));
    let both = decided(&config_with_fallback(), failed("x"), Some(failed("y")), FIRST_ATTEMPT);
    assert_eq!(both, PageDecision::Fail(Failure::new(FailureCode::ModelFailed, "a@1: x; b@1: y")));
    for (first, second) in
        [(failed("x"), EngineOutcome::Blocked { until: None }), (EngineOutcome::Throttled { wait: None }, failed("x"))]
    {
        assert_eq!(
            decided(&config_with_fallback(), first.clone(), Some(second.clone()), FIRST_ATTEMPT),
            PageDecision::Retry(FIRST_ATTEMPT.backoff)
        );
        let last = decided(&config_with_fallback(), first, Some(second), LAST_ATTEMPT);
        assert_eq!(last, PageDecision::Fail(Failure::new(FailureCode::ModelFailed, "x")), "the only known failure");
    }
}

#[test]
fn waiting_for_an_engine_spends_no_attempt_and_probing_it_does() {
    let now = Instant::now();
    let until = |secs| EngineOutcome::Blocked { until: Some(now + Duration::from_secs(secs)) };
    let alone = config("");
    let plan = alone.plan(&ReadAs::default()).expect("the mode is offered");
    for (answer, secs) in [
        (until(7), 7),
        (until(0), 1),
        (until(100), 30),
        (EngineOutcome::Blocked { until: None }, 10),
        (EngineOutcome::Throttled { wait: None }, 5),
        (EngineOutcome::Throttled { wait: Some(Duration::from_secs(20)) }, 20),
    ] {
        let postponed = PageDecision::Postpone(Duration::from_secs(secs));
        assert_eq!(decide(&plan, answer.clone(), None, LAST_ATTEMPT, now), postponed, "{answer:?}");
    }
    assert!(matches!(decided(&alone, unavailable(false), None, LAST_ATTEMPT), PageDecision::Postpone(_)));
    assert_eq!(decided(&alone, unavailable(true), None, FIRST_ATTEMPT), PageDecision::Retry(FIRST_ATTEMPT.backoff));
    assert_eq!(decided(&alone, EngineOutcome::Interrupted, None, FIRST_ATTEMPT), PageDecision::Retry(Duration::ZERO));
}

#[test]
fn a_page_whose_attempts_are_spent_is_dead_lettered_with_a_reason() {
    let dead = decided(&config(""), unavailable(true), None, LAST_ATTEMPT);
    assert_eq!(
        dead,
        PageDecision::DeadLetter(
            "The page was received 5 times, and at the last attempt its engine did not respond.".to_owned()
        )
    );
}

#[test]
fn a_page_in_a_batch_with_one_that_hangs_is_abandoned() {
    assert_eq!(decided(&config(""), EngineOutcome::Lost, None, FIRST_ATTEMPT), PageDecision::Abandon);
    assert_eq!(
        decided(&config_with_fallback(), failed("x"), Some(EngineOutcome::Lost), FIRST_ATTEMPT),
        PageDecision::Abandon
    );
}
