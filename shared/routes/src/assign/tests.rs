use std::collections::BTreeMap;

use proptest::prelude::*;
use quire_tasks::{EngineControl, EngineReport, EngineStats, OperatorNote};
use uuid::Uuid;

use super::*;

const ROUTE: &str = r#""modes": ["text"], "primary": "a@1""#;

fn config(route: &str) -> Config {
    let server = r#"{"kind": "openai", "url": "http://127.0.0.1:1/v1", "model": "m"}"#;
    let json = format!(
        r#"{{"engines": {{"a@1": {server}, "a@2": {server}, "b@1": {server}, "pp-ocr@v6-small": {{"kind": "pp-ocr"}}}},
            "routes": [{{{route}}}]}}"#
    );
    Config::parse(&json).expect("a valid configuration")
}

fn task(number: u128) -> TaskId {
    TaskId::new(Uuid::from_u128(number))
}

fn engine(read_as: &ReadAs) -> String {
    read_as.engine.as_ref().expect("an engine is assigned").to_string()
}

fn rolled_back(engine: &str) -> EngineStatuses {
    let note = OperatorNote { reason: "worse".to_owned(), by: "a test".to_owned(), at: UnixMillis(1) };
    let control = EngineControl { rolled_back: Some(note), ..EngineControl::default() };
    EngineStatuses::new([(engine.parse().expect("a valid engine name"), control)].into(), Vec::new())
}

#[test]
fn a_task_gets_the_primary_engine_of_its_route() {
    let config = config(ROUTE);
    let read_as = config.assign(task(1), Mode::Text, None, &EngineStatuses::default()).expect("the mode is offered");
    assert_eq!((engine(&read_as).as_str(), read_as.pinned), ("a@1", false));
    let plan = config.plan(&read_as).expect("the mode is offered");
    assert_eq!((plan.first.engine.to_string().as_str(), plan.fallback), ("a@1", None));
}

#[test]
fn a_mode_or_engine_that_is_not_offered_is_refused_with_the_alternatives() {
    let config = config(ROUTE);
    let refused = |mode, wanted| {
        config.assign(task(1), mode, wanted, &EngineStatuses::default()).expect_err("the request is not offered")
    };
    let mode = refused(Mode::Markdown, None);
    assert_eq!(
        (mode.field(), mode.to_string().as_str()),
        ("mode", "no engine offers the mode markdown; available modes: text")
    );
    let unknown = refused(Mode::Text, Some("c@1"));
    assert_eq!(unknown.field(), "engine");
    assert!(unknown.to_string().contains("a@1, a@2, b@1"), "{unknown}");
    assert_eq!(refused(Mode::Text, Some("a")).field(), "engine", "the engine has two versions");
    assert_eq!(refused(Mode::Formula, Some("pp-ocr")).field(), "mode");
}

#[test]
fn a_pinned_engine_has_no_fallback() {
    let config = config(&format!(r#"{ROUTE}, "fallback": "b@1", "review_below": 0.5"#));
    for (wanted, expected) in [("a@2", "a@2"), ("b", "b@1")] {
        let read_as =
            config.assign(task(1), Mode::Text, Some(wanted), &EngineStatuses::default()).expect("the mode is offered");
        assert_eq!((engine(&read_as).as_str(), read_as.pinned), (expected, true));
        let plan = config.plan(&read_as).expect("the mode is offered");
        assert_eq!((plan.first.engine.to_string().as_str(), plan.fallback), (expected, None));
    }
    // The modes of the engine count, not those with a route.
    assert!(config.assign(task(1), Mode::Table, Some("b@1"), &EngineStatuses::default()).is_ok());
    let gone = ReadAs { engine: "c@1".parse().ok(), pinned: true, ..ReadAs::default() };
    assert!(config.plan(&gone).is_err());
}

#[test]
fn a_removed_engine_is_replaced_by_the_primary_of_the_route() {
    let gone = ReadAs { engine: "c@1".parse().ok(), ..ReadAs::default() };
    let config = config(ROUTE);
    assert_eq!(config.plan(&gone).expect("the mode is offered").first.engine.to_string(), "a@1");
    assert_eq!(config.plan(&ReadAs::default()).expect("a task without an engine").first.engine.to_string(), "a@1");
}

#[test]
fn a_canary_gets_its_share_until_it_is_rolled_back() {
    let config = config(&format!(r#"{ROUTE}, "canary": {{"engine": "a@2", "share": 0.25}}"#));
    let assign = |statuses: &EngineStatuses, number| {
        engine(&config.assign(task(number), Mode::Text, None, statuses).expect("the mode is offered"))
    };
    let taken = (0..4000).filter(|&number| assign(&EngineStatuses::default(), number) == "a@2").count();
    assert!((900..1100).contains(&taken), "{taken} of 4000");
    let back = rolled_back("a@2");
    assert!((0..100).all(|number| assign(&back, number) == "a@1"));
}

#[test]
fn a_canary_falls_back_to_the_fallback_of_the_route_or_to_its_primary() {
    let trial = ReadAs { engine: "a@2".parse().ok(), ..ReadAs::default() };
    let canary = r#""canary": {"engine": "a@2", "share": 1}"#;
    for (route, fallback, below) in [
        (format!("{ROUTE}, {canary}"), "a@1", 0.0),
        (format!(r#"{ROUTE}, {canary}, "fallback": "b@1", "fallback_below": 0.5"#), "b@1", 0.5),
    ] {
        let config = config(&route);
        let plan = config.plan(&trial).expect("the mode is offered");
        assert!(plan.is_canary);
        assert_eq!(plan.fallback.map(|entry| entry.engine.to_string()).as_deref(), Some(fallback));
        assert!((plan.fallback_below - below).abs() < 1e-6);
    }
}

#[test]
fn a_task_waits_for_a_paused_engine_unless_a_fallback_is_available() {
    let note = OperatorNote { reason: "new weights".to_owned(), by: "ops".to_owned(), at: UnixMillis(1) };
    let control = EngineControl { paused: Some(note), ..EngineControl::default() };
    let statuses = EngineStatuses::new([("a@1".parse().expect("a valid engine name"), control)].into(), Vec::new());
    let reason = |route: &str| config(route).waiting_reason(&ReadAs::default(), &statuses, UnixMillis(2));
    let waiting = reason(ROUTE).expect("the task waits");
    assert_eq!((waiting.code, waiting.detail.as_str()), ("engine_paused", "a@1 is paused: new weights"));
    assert_eq!(reason(&format!(r#"{ROUTE}, "fallback": "b@1""#)), None);
    assert_eq!(config(ROUTE).waiting_reason(&ReadAs::default(), &EngineStatuses::default(), UnixMillis(2)), None);
}

#[test]
fn a_task_waits_for_an_engine_until_its_breaker_is_closed() {
    let waits = |state| {
        let engine = "a@1".parse().expect("a valid engine name");
        let reason = Some("h does not respond".to_owned());
        let stats = EngineStats::default();
        let report = EngineReport { engine, worker: "w".to_owned(), at: UnixMillis(1), state, reason, stats, trial: 0 };
        let statuses = EngineStatuses::new(BTreeMap::new(), vec![report]);
        config(ROUTE).waiting_reason(&ReadAs::default(), &statuses, UnixMillis(2)).map(|waiting| waiting.code)
    };
    assert_eq!(waits(BreakerState::Open), Some("engine_unavailable"));
    assert_eq!(waits(BreakerState::HalfOpen), Some("engine_unavailable"));
    assert_eq!(waits(BreakerState::Closed), None);
}

proptest! {
    #[test]
    fn a_larger_share_keeps_the_tasks_of_a_smaller_one(number in any::<u128>(), a in 0.0..=1.0, b in 0.0..=1.0) {
        let (small, large) = if a < b { (a, b) } else { (b, a) };
        let takes = |share| Canary { engine: "a@2".parse().expect("a valid engine name"), share }.takes(task(number));
        prop_assert!(takes(large) || !takes(small));
        prop_assert!(takes(1.0) && !takes(0.0));
    }
}

#[test]
fn only_text_that_is_not_pinned_to_an_engine_is_read_by_the_engines_of_scripts() {
    let routes = r#""modes": ["text", "table"], "primary": "a@1"}, {"scripts": ["Greek"], "primary": "b@1""#;
    let config = config(routes);
    let script_routes = |mode: Mode, wanted: Option<&str>| {
        let read_as = config.assign(task(1), mode, wanted, &EngineStatuses::default()).expect("it is offered");
        config.plan(&read_as).expect("it is offered").script_routes.len()
    };
    assert_eq!(script_routes(Mode::Text, None), 1);
    assert_eq!(script_routes(Mode::Text, Some("a@1")), 0);
    assert_eq!(script_routes(Mode::Table, None), 0);
}
