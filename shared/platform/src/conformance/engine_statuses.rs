//! The engine status store: decisions and reports of engines.

use quire_tasks::{BreakerState, EngineControl, EngineName, EngineReport, EngineStats, OperatorNote, UnixMillis};

use super::unique;
use crate::{
    Backend,
    engine_status::{self, pause, probe, reinstate, report, report_stopped, resume, roll_back},
    now,
};

fn new_engine() -> EngineName {
    format!("engine@{}", unique("v")).parse().expect("a valid engine name")
}

fn note(reason: &str) -> OperatorNote {
    OperatorNote { reason: reason.to_owned(), by: "a test".to_owned(), at: UnixMillis(1) }
}

fn report_of(engine: &EngineName, worker: &str, state: BreakerState) -> EngineReport {
    let mut counted = EngineStats::default();
    counted.answered(Some(0.5), false, 10);
    let reason = (state == BreakerState::Open).then(|| "connection refused".to_owned());
    EngineReport {
        engine: engine.clone(),
        worker: worker.to_owned(),
        at: now(),
        state,
        reason,
        stats: counted,
        trial: 0,
    }
}

/// A pause, a probe and a rollback are read back; only the first rollback counts.
pub async fn operators_decisions_are_stored(backend: &Backend) {
    let engine = new_engine();
    pause(backend, &engine, note("new weights")).await.expect("paused");
    let statuses = engine_status::read(backend).await.expect("read");
    assert_eq!(statuses.state(&engine, now()), BreakerState::Paused);
    assert_eq!(statuses.reason(&engine, now()), Some("new weights"));
    resume(backend, &engine).await.expect("resumed");
    probe(backend, &engine, note("is it back?")).await.expect("probed");
    assert!(roll_back(backend, &engine, note("worse")).await.expect("rolled back"));
    assert!(!roll_back(backend, &engine, note("worse still")).await.expect("already rolled back"));
    let control = engine_status::read_controls(backend).await.expect("read").control(&engine);
    let expected = EngineControl {
        probed: Some(note("is it back?")),
        rolled_back: Some(note("worse")),
        ..EngineControl::default()
    };
    assert_eq!(control, expected);
}

/// A new trial of a canary starts without statistics.
pub async fn a_new_trial_starts_without_statistics(backend: &Backend) {
    let engine = new_engine();
    for worker in ["1", "2"] {
        report(backend, &report_of(&engine, worker, BreakerState::Closed)).await.expect("reported");
    }
    assert_eq!(engine_status::read(backend).await.expect("read").stats(&engine).pages, 2);
    roll_back(backend, &engine, note("worse")).await.expect("rolled back");
    reinstate(backend, &engine).await.expect("reinstated");
    let statuses = engine_status::read(backend).await.expect("read");
    assert_eq!((statuses.stats(&engine).pages, statuses.is_rolled_back(&engine)), (0, false));
}

/// A worker that stopped has no state any more, but its statistics count.
pub async fn a_stopped_workers_statistics_are_kept(backend: &Backend) {
    let engine = new_engine();
    report_stopped(backend, &report_of(&engine, "1", BreakerState::Open)).await.expect("reported");
    let statuses = engine_status::read(backend).await.expect("read");
    assert_eq!((statuses.state(&engine, now()), statuses.workers(&engine, now())), (BreakerState::Closed, (0, 0)));
    assert_eq!(statuses.stats(&engine).pages, 1);
}
