//! `quire engines`: how they do, and what an operator says of them.

use anyhow::bail;
use quire_platform::{
    Backend,
    engine_status::{self, pause, probe, reinstate, resume, roll_back},
};
use quire_routes::Config;
use quire_tasks::{BreakerState, EngineName, EngineStatuses, OperatorNote, UnixMillis};

use crate::{
    cli::{Decision, Engines, Named},
    print,
    site::Site,
};

/// Runs one of the subcommands on a backend, whether it is being served or not.
pub(crate) async fn engines(args: Engines) -> anyhow::Result<()> {
    let at = match &args {
        Engines::List { at } => at,
        Engines::Resume(named) | Engines::Reinstate(named) => &named.at,
        Engines::Pause(decision) | Engines::Probe(decision) | Engines::RollBack(decision) => &decision.named.at,
    };
    let config = at.routes.config()?;
    // Nothing is made here: a folder that is none of ours is a slip of the operator's.
    let backend = Site::existing(&at.place).await?.backend();
    let engine = match &args {
        Engines::List { .. } => return list(&backend, &config).await,
        Engines::Resume(named) | Engines::Reinstate(named) => known(&config, named)?,
        Engines::Pause(decision) | Engines::Probe(decision) | Engines::RollBack(decision) => {
            known(&config, &decision.named)?
        }
    };
    match args {
        Engines::List { .. } => {}
        Engines::Pause(decision) => pause(&backend, engine, note(decision)).await?,
        Engines::Resume(_) => resume(&backend, engine).await?,
        Engines::Probe(decision) => probe(&backend, engine, note(decision)).await?,
        Engines::RollBack(decision) => {
            check_canary(&config, engine)?;
            if !roll_back(&backend, engine, note(decision)).await? {
                bail!("{engine} was rolled back before: see `quire engines list`");
            }
        }
        Engines::Reinstate(_) => {
            check_canary(&config, engine)?;
            reinstate(&backend, engine).await?;
        }
    }
    let board = engine_status::read(&backend).await?;
    print::lines(&[line(engine, &board, print::now())])
}

fn known<'a>(config: &'a Config, named: &Named) -> anyhow::Result<&'a EngineName> {
    Ok(&config.named(&named.engine)?.engine)
}

fn note(Decision { reason, person, .. }: Decision) -> OperatorNote {
    OperatorNote { reason, by: person.by, at: print::now() }
}

/// What is on trial nowhere would be noted in vain.
fn check_canary(config: &Config, engine: &EngineName) -> anyhow::Result<()> {
    let canaries = || config.routes.iter().filter_map(|route| route.canary.as_ref());
    if canaries().any(|canary| canary.engine == *engine) {
        return Ok(());
    }
    let all: Vec<String> = canaries().map(|canary| canary.engine.to_string()).collect();
    let there = if all.is_empty() { "no route has one".to_owned() } else { format!("there are {}", all.join(", ")) };
    bail!("{engine} is no canary: {there}")
}

async fn list(backend: &Backend, config: &Config) -> anyhow::Result<()> {
    let (board, now) = (engine_status::read(backend).await?, print::now());
    let lines: Vec<String> = config.engines.keys().map(|engine| line(engine, &board, now)).collect();
    print::lines(&lines)
}

/// Tab-separated: for eyes, and for `cut`. What is not known is a dash.
fn line(engine: &EngineName, board: &EngineStatuses, now: UnixMillis) -> String {
    let (stats, standing, (workers, _)) = (board.stats(engine), board.state(engine, now), board.workers(engine, now));
    let unknown = || "-".to_owned();
    let failures = (stats.pages > 0).then(|| format!("{:.1}%", 100.0 * stats.failures as f64 / stats.pages as f64));
    let confidence = stats.mean_confidence().map(|mean| format!("{mean:.3}"));
    let millis = stats.mean_millis().map(|mean| format!("{mean:.0}"));
    let cells = [
        engine.to_string(),
        state_name(standing).to_owned(),
        workers.to_string(),
        stats.pages.to_string(),
        failures.unwrap_or_else(unknown),
        confidence.unwrap_or_else(unknown),
        millis.unwrap_or_else(unknown),
        remark(engine, board, now).unwrap_or_else(unknown),
    ];
    cells.join("\t")
}

const fn state_name(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::Open => "open",
        BreakerState::HalfOpen => "half_open",
        BreakerState::Paused => "paused",
    }
}

/// Why an engine is not asked, or not by everybody.
fn remark(engine: &EngineName, board: &EngineStatuses, now: UnixMillis) -> Option<String> {
    let control = board.control(engine);
    let said = |what: &str, note: &OperatorNote| {
        let OperatorNote { reason, by, at } = note;
        format!("{what} by {by} at {}: {reason}", print::time(*at))
    };
    let (_, not_closed) = board.workers(engine, now);
    let opened = (not_closed > 0).then(|| {
        let why = board.reason(engine, now).unwrap_or("it is being tried");
        format!("left alone by {not_closed}: {why}")
    });
    let paused = control.paused.as_ref().map(|note| said("paused", note));
    let rolled_back = control.rolled_back.as_ref().map(|note| said("rolled back", note));
    let remarks: Vec<String> = paused.or(opened).into_iter().chain(rolled_back).collect();
    (!remarks.is_empty()).then(|| remarks.join("; "))
}

#[cfg(test)]
mod tests {
    use quire_tasks::{EngineControl, EngineReport, EngineStats};

    use super::*;

    fn engine() -> EngineName {
        "a@1".parse().expect("a name")
    }

    fn note(reason: &str) -> OperatorNote {
        OperatorNote { reason: reason.to_owned(), by: "ada".to_owned(), at: UnixMillis(0) }
    }

    fn board(control: EngineControl, states: &[BreakerState]) -> EngineStatuses {
        let mut counted = EngineStats::default();
        counted.answered(Some(0.5), false, 100);
        counted.failed();
        let report = |(worker, state): (usize, &BreakerState)| EngineReport {
            engine: engine(),
            worker: worker.to_string(),
            at: UnixMillis(1),
            state: *state,
            reason: (*state == BreakerState::Open).then(|| "no answer".to_owned()),
            stats: counted,
            trial: 0,
        };
        EngineStatuses::new([(engine(), control)].into(), states.iter().enumerate().map(report).collect())
    }

    #[test]
    fn an_engine_is_listed_with_what_all_workers_counted_and_why_it_is_not_asked() {
        let shown = |board: &EngineStatuses| line(&engine(), board, UnixMillis(2));
        assert_eq!(shown(&EngineStatuses::default()), "a@1\tclosed\t0\t0\t-\t-\t-\t-");
        let open = board(EngineControl::default(), &[BreakerState::Closed, BreakerState::Open]);
        assert_eq!(shown(&open), "a@1\tclosed\t2\t4\t50.0%\t0.500\t100\tleft alone by 1: no answer");
        let paused = EngineControl {
            paused: Some(note("new weights")),
            rolled_back: Some(note("worse")),
            ..EngineControl::default()
        };
        assert_eq!(
            shown(&board(paused, &[BreakerState::Closed])),
            "a@1\tpaused\t1\t2\t50.0%\t0.500\t100\tpaused by ada at 1970-01-01T00:00:00Z: new weights; \
             rolled back by ada at 1970-01-01T00:00:00Z: worse"
        );
    }

    #[test]
    fn only_a_canary_is_rolled_back() {
        let refused = check_canary(&Config::default(), &engine()).expect_err("it is none").to_string();
        assert_eq!(refused, "a@1 is no canary: no route has one");
    }
}
