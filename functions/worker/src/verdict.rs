//! What becomes of a page, by what its engines said. Pure: time is passed in.
//!
//! A page fails only when all of its engines have looked at it and failed. One whose engines do not answer is put off: as if
//! it had never been received where it cannot be at fault, and else as an attempt, of which there are only so many.

use std::time::{Duration, Instant};

use quire_routes::Plan;
use quire_tasks::{EngineName, Failure, FallbackReason, PageText, TriedEngine};

use crate::gate::Answer;

/// How soon a page that is put off comes again.
const SOONEST: Duration = Duration::from_secs(1);
/// And how late: what an operator resumes should not wait for long.
const LATEST: Duration = Duration::from_secs(30);
/// When an engine that has too much to do is asked again, if it does not say.
const WHILE_BUSY: Duration = Duration::from_secs(5);
/// When it is looked again whether an engine is still paused.
const WHILE_PAUSED: Duration = Duration::from_secs(10);

/// How often a page has been taken up, and may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tries {
    pub(crate) attempt: u32,
    pub(crate) most: u32,
    /// When it is taken up again if this was an attempt.
    pub(crate) back_off: Duration,
}

/// What becomes of a page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// It is read.
    Read(Box<PageText>),
    /// It cannot be read.
    Failed(Failure),
    /// It is sent anew: this was no attempt.
    PutOff(Duration),
    /// It is received again: this was an attempt.
    GiveBack(Duration),
    /// It has had all its attempts.
    DeadLetter(String),
    /// It is left as it is, and the process ends.
    Leave,
}

/// Whether the fallback is to be asked, too.
pub(crate) fn asks_another(plan: &Plan<'_>, first: &Answer) -> bool {
    match first {
        Answer::Text(text) => text.confidence().is_some_and(|confidence| confidence < plan.fallback_below),
        Answer::Interrupted | Answer::Lost => false,
        _ => true,
    }
}

/// What becomes of a page of which the first engine of its plan, and perhaps the fallback, said this.
pub(crate) fn verdict(plan: &Plan<'_>, first: Answer, second: Option<Answer>, tries: Tries, now: Instant) -> Verdict {
    let fallback = plan.fallback.map(|entry| &entry.engine);
    match (first, second, fallback) {
        (Answer::Text(first), None, _) => Verdict::Read(first),
        (Answer::Text(first), Some(Answer::Text(second)), _) => Verdict::Read(surer(first, second)),
        (Answer::Text(mut text), Some(other), Some(fallback)) => {
            text.tried.push(tried(fallback.clone(), &other));
            Verdict::Read(text)
        }
        (other, Some(Answer::Text(mut text)), _) => {
            text.tried.push(tried(plan.first.engine.clone(), &other));
            Verdict::Read(text)
        }
        (first, second, _) => unread(plan, &first, second.as_ref(), tries, now),
    }
}

/// Of two texts the one that its engine is surer of; the first where they are as sure, or one of them does not say.
fn surer(mut first: Box<PageText>, mut second: Box<PageText>) -> Box<PageText> {
    let (a, b) = (first.confidence(), second.confidence());
    let less_sure = |text: &PageText, confidence| TriedEngine {
        engine: text.engine.clone(),
        why: FallbackReason::LessSure,
        code: None,
        confidence,
    };
    if matches!((a, b), (Some(a), Some(b)) if b > a) {
        second.tried.push(less_sure(&first, a));
        second
    } else {
        first.tried.push(less_sure(&second, b));
        first
    }
}

fn tried(engine: EngineName, answer: &Answer) -> TriedEngine {
    let code = failure(answer).map(|failure| failure.code);
    let why = if code.is_some() { FallbackReason::Failed } else { FallbackReason::Unavailable };
    TriedEngine { engine, why, code, confidence: None }
}

/// Why an engine that has looked at the page has no text.
fn failure(answer: &Answer) -> Option<&Failure> {
    match answer {
        Answer::Failed(failure) | Answer::Stuck(failure) => Some(failure),
        _ => None,
    }
}

fn unread(plan: &Plan<'_>, first: &Answer, second: Option<&Answer>, tries: Tries, now: Instant) -> Verdict {
    let asked = || std::iter::once(first).chain(second);
    if asked().any(|answer| *answer == Answer::Lost) {
        return Verdict::Leave;
    }
    let is_last = tries.attempt >= tries.most;
    let failures: Vec<&Failure> = asked().filter_map(failure).collect();
    match failures[..] {
        [failure] if second.is_none() || is_last => return Verdict::Failed(failure.clone()),
        [one, other] => return Verdict::Failed(both(plan, one, other)),
        [_] => return Verdict::GiveBack(tries.back_off),
        _ => {}
    }
    let spent = asked().find_map(|answer| match answer {
        Answer::Interrupted => Some(("its engine broke off", Duration::ZERO)),
        Answer::Unavailable { spends: true, .. } => Some(("its engine did not answer", tries.back_off)),
        _ => None,
    });
    match spent {
        Some((why, _)) if is_last => {
            Verdict::DeadLetter(format!("The page was taken up {} times, and in the end {why}.", tries.most))
        }
        Some((_, delay)) => Verdict::GiveBack(delay),
        None => Verdict::PutOff(asked().map(|answer| wait(answer, now)).min().unwrap_or(LATEST).clamp(SOONEST, LATEST)),
    }
}

/// Two engines have failed: the code of the one that was to read the page, and what both say.
fn both(plan: &Plan<'_>, first: &Failure, second: &Failure) -> Failure {
    let fallback = plan.fallback.map(|entry| entry.engine.to_string()).unwrap_or_default();
    Failure::new(first.code, format!("{}: {}; {fallback}: {}", plan.first.engine, first.message, second.message))
}

/// When an engine may have an answer.
fn wait(answer: &Answer, now: Instant) -> Duration {
    match answer {
        Answer::Blocked { until: Some(until) } | Answer::Unavailable { until: Some(until), .. } => {
            until.saturating_duration_since(now)
        }
        Answer::Throttled { wait } => wait.unwrap_or(WHILE_BUSY),
        _ => WHILE_PAUSED,
    }
}

#[cfg(test)]
mod tests {
    use quire_routes::Config;
    use quire_tasks::{FailureCode, Line, ReadAs};

    use super::*;

    const TRIES: Tries = Tries { attempt: 1, most: 5, back_off: Duration::from_secs(15) };
    const LAST: Tries = Tries { attempt: 5, ..TRIES };

    fn config(route: &str) -> Config {
        let server = r#"{"kind": "openai", "url": "http://127.0.0.1:1/v1", "model": "m"}"#;
        let json = format!(
            r#"{{"engines": {{"a@1": {server}, "b@1": {server}}},
                "routes": [{{"modes": ["text"], "primary": "a@1"{route}}}]}}"#
        );
        Config::parse(&json).expect("it is right")
    }

    fn two() -> Config {
        config(r#", "fallback": "b@1", "fallback_below": 0.8"#)
    }

    fn text(engine: &str, confidence: Option<f32>) -> Box<PageText> {
        let line = Line { text: engine.to_owned(), confidence, polygon: None };
        Box::new(PageText::from_lines(engine.parse().expect("a name"), 1, 1, 0, vec![line]))
    }

    fn sure(engine: &str, confidence: f32) -> Answer {
        Answer::Text(text(engine, Some(confidence)))
    }

    fn failed(message: &str) -> Answer {
        Answer::Failed(Failure::new(FailureCode::ModelFailed, message))
    }

    fn unavailable(spends: bool) -> Answer {
        Answer::Unavailable { until: None, spends }
    }

    fn judged(config: &Config, first: Answer, second: Option<Answer>, tries: Tries) -> Verdict {
        let plan = config.plan(&ReadAs::default()).expect("it is offered");
        verdict(&plan, first, second, tries, Instant::now())
    }

    /// The engine whose text is kept, and those that were tried besides, with why not.
    fn kept(verdict: &Verdict) -> (String, Vec<(String, FallbackReason)>) {
        let Verdict::Read(text) = verdict else { panic!("{verdict:?}") };
        (text.engine.to_string(), text.tried.iter().map(|tried| (tried.engine.to_string(), tried.why)).collect())
    }

    #[test]
    fn the_surer_of_two_texts_is_kept_and_the_other_named() {
        for (a, b, engine, other) in [(0.5, 0.9, "b@1", "a@1"), (0.5, 0.4, "a@1", "b@1"), (0.5, 0.5, "a@1", "b@1")] {
            let read = judged(&two(), sure("a@1", a), Some(sure("b@1", b)), TRIES);
            assert_eq!(kept(&read), (engine.to_owned(), vec![(other.to_owned(), FallbackReason::LessSure)]));
        }
        let unsaid = judged(&two(), sure("a@1", 0.1), Some(Answer::Text(text("b@1", None))), TRIES);
        assert_eq!(kept(&unsaid).0, "a@1");
    }

    #[test]
    fn the_fallback_is_asked_where_the_first_is_unsure_or_has_no_text() {
        let config = two();
        let plan = config.plan(&ReadAs::default()).expect("it is offered");
        for (answer, asks) in [
            (sure("a@1", 0.79), true),
            (sure("a@1", 0.8), false),
            (Answer::Text(text("a@1", None)), false),
            (failed("x"), true),
            (Answer::Blocked { until: None }, true),
            (Answer::Throttled { wait: None }, true),
            (unavailable(true), true),
            (Answer::Interrupted, false),
            (Answer::Lost, false),
        ] {
            assert_eq!(asks_another(&plan, &answer), asks, "{answer:?}");
        }
    }

    #[test]
    fn what_another_has_read_names_who_should_have() {
        for (first, why) in [
            (failed("x"), FallbackReason::Failed),
            (unavailable(true), FallbackReason::Unavailable),
            (Answer::Blocked { until: None }, FallbackReason::Unavailable),
        ] {
            let read = judged(&two(), first, Some(sure("b@1", 0.1)), TRIES);
            assert_eq!(kept(&read), ("b@1".to_owned(), vec![("a@1".to_owned(), why)]));
        }
        let read = judged(&two(), sure("a@1", 0.1), Some(failed("x")), TRIES);
        assert_eq!(kept(&read), ("a@1".to_owned(), vec![("b@1".to_owned(), FallbackReason::Failed)]));
    }

    #[test]
    fn a_page_fails_when_all_its_engines_have_looked_at_it() {
        let alone = judged(&config(""), failed("x"), None, TRIES);
        assert_eq!(alone, Verdict::Failed(Failure::new(FailureCode::ModelFailed, "x")));
        let both = judged(&two(), failed("x"), Some(failed("y")), TRIES);
        assert_eq!(both, Verdict::Failed(Failure::new(FailureCode::ModelFailed, "a@1: x; b@1: y")));
        for (first, second) in
            [(failed("x"), Answer::Blocked { until: None }), (Answer::Throttled { wait: None }, failed("x"))]
        {
            assert_eq!(judged(&two(), first.clone(), Some(second.clone()), TRIES), Verdict::GiveBack(TRIES.back_off));
            let last = judged(&two(), first, Some(second), LAST);
            assert_eq!(last, Verdict::Failed(Failure::new(FailureCode::ModelFailed, "x")), "better than no reason");
        }
    }

    #[test]
    fn waiting_for_an_engine_is_no_attempt_and_being_the_one_that_tries_it_is() {
        let now = Instant::now();
        let until = |secs| Answer::Blocked { until: Some(now + Duration::from_secs(secs)) };
        let alone = config("");
        let plan = alone.plan(&ReadAs::default()).expect("it is offered");
        for (answer, secs) in [
            (until(7), 7),
            (until(0), 1),
            (until(100), 30),
            (Answer::Blocked { until: None }, 10),
            (Answer::Throttled { wait: None }, 5),
            (Answer::Throttled { wait: Some(Duration::from_secs(20)) }, 20),
        ] {
            let put_off = Verdict::PutOff(Duration::from_secs(secs));
            assert_eq!(verdict(&plan, answer.clone(), None, LAST, now), put_off, "{answer:?}");
        }
        assert!(matches!(judged(&alone, unavailable(false), None, LAST), Verdict::PutOff(_)));
        assert_eq!(judged(&alone, unavailable(true), None, TRIES), Verdict::GiveBack(TRIES.back_off));
        assert_eq!(judged(&alone, Answer::Interrupted, None, TRIES), Verdict::GiveBack(Duration::ZERO));
    }

    #[test]
    fn a_page_that_no_engine_survives_is_a_dead_letter_in_the_end_and_says_why() {
        let dead = judged(&config(""), unavailable(true), None, LAST);
        assert_eq!(
            dead,
            Verdict::DeadLetter("The page was taken up 5 times, and in the end its engine did not answer.".to_owned())
        );
    }

    #[test]
    fn a_page_that_was_beside_one_that_hangs_is_left_to_others() {
        assert_eq!(judged(&config(""), Answer::Lost, None, TRIES), Verdict::Leave);
        assert_eq!(judged(&two(), failed("x"), Some(Answer::Lost), TRIES), Verdict::Leave);
    }
}
