//! `quire engines`: shows the status of the engines and records operators' decisions.

use anyhow::bail;
use quire_platform::{
    Backend,
    engine_status::{self, pause, probe, reinstate, resume, roll_back},
};
use quire_routes::Config;
use quire_tasks::{BreakerState, EngineName, EngineStatuses, OperatorNote, UnixMillis};

use crate::{
    cli::{DecisionArgs, EnginesCommand},
    deployment::Deployment,
    rows::{self, cell_or_unknown},
};

/// Runs a subcommand, whether the backend is being served or not.
pub(crate) async fn run(command: EnginesCommand) -> anyhow::Result<()> {
    let (scope, name) = match &command {
        EnginesCommand::List { scope } => (scope, None),
        EnginesCommand::Resume(args) | EnginesCommand::Reinstate(args) => (&args.scope, Some(&args.engine)),
        EnginesCommand::Pause(args) | EnginesCommand::Probe(args) | EnginesCommand::RollBack(args) => {
            (&args.named.scope, Some(&args.named.engine))
        }
    };
    let config = scope.routes.config()?;
    let backend = Deployment::open_existing(&scope.deployment).await?.backend();
    let Some(name) = name else { return list(&backend, &config).await };
    let engine = &config.find_engine(name)?.engine;
    match command {
        EnginesCommand::List { .. } => {}
        EnginesCommand::Pause(args) => pause(&backend, engine, note(args)).await?,
        EnginesCommand::Resume(_) => resume(&backend, engine).await?,
        EnginesCommand::Probe(args) => probe(&backend, engine, note(args)).await?,
        EnginesCommand::RollBack(args) => {
            check_canary(&config, engine)?;
            if !roll_back(&backend, engine, note(args)).await? {
                bail!("{engine} is already rolled back: see `quire engines list`");
            }
        }
        EnginesCommand::Reinstate(_) => {
            check_canary(&config, engine)?;
            reinstate(&backend, engine).await?;
        }
    }
    let statuses = engine_status::read(&backend).await?;
    rows::print(&[format_row(engine, &statuses, quire_platform::now())])
}

fn note(DecisionArgs { reason, author, .. }: DecisionArgs) -> OperatorNote {
    OperatorNote { reason, by: author.by, at: quire_platform::now() }
}

/// Checks that the engine is the canary of a route: otherwise a rollback would have no effect.
fn check_canary(config: &Config, engine: &EngineName) -> anyhow::Result<()> {
    let canaries: Vec<&EngineName> =
        config.routes.iter().filter_map(|route| route.canary.as_ref()).map(|canary| &canary.engine).collect();
    if canaries.contains(&engine) {
        return Ok(());
    }
    if canaries.is_empty() {
        bail!("{engine} is not a canary: no route has one");
    }
    let names: Vec<String> = canaries.iter().map(ToString::to_string).collect();
    bail!("{engine} is not a canary; the canaries are {}", names.join(", "))
}

async fn list(backend: &Backend, config: &Config) -> anyhow::Result<()> {
    let statuses = engine_status::read(backend).await?;
    let now = quire_platform::now();
    let rows: Vec<String> = config.engines.keys().map(|engine| format_row(engine, &statuses, now)).collect();
    rows::print(&rows)
}

/// Formats an engine's status as a tab-separated row.
fn format_row(engine: &EngineName, statuses: &EngineStatuses, now: UnixMillis) -> String {
    let stats = statuses.stats(engine);
    let (workers, _) = statuses.workers(engine, now);
    let failures = (stats.pages > 0).then(|| format!("{:.1}%", 100.0 * stats.failures as f64 / stats.pages as f64));
    let confidence = stats.mean_confidence().map(|mean| format!("{mean:.3}"));
    let millis = stats.mean_millis().map(|mean| format!("{mean:.0}"));
    let cells = [
        engine.to_string(),
        state_name(statuses.state(engine, now)).to_owned(),
        workers.to_string(),
        stats.pages.to_string(),
        cell_or_unknown(failures),
        cell_or_unknown(confidence),
        cell_or_unknown(millis),
        cell_or_unknown(format_remarks(engine, statuses, now)),
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

/// Returns why an engine gets no pages, or none in some workers.
fn format_remarks(engine: &EngineName, statuses: &EngineStatuses, now: UnixMillis) -> Option<String> {
    let control = statuses.control(engine);
    let mut remarks = Vec::new();
    let (workers, not_closed) = statuses.workers(engine, now);
    if let Some(note) = &control.paused {
        remarks.push(format_note("paused", note));
    } else if not_closed > 0 {
        let why = statuses.reason(engine, now).unwrap_or("a probe is in flight");
        remarks.push(format!("unavailable in {not_closed} of {workers} workers: {why}"));
    }
    if let Some(note) = &control.rolled_back {
        remarks.push(format_note("rolled back", note));
    }
    if remarks.is_empty() { None } else { Some(remarks.join("; ")) }
}

fn format_note(action: &str, OperatorNote { reason, by, at }: &OperatorNote) -> String {
    format!("{action} by {by} at {}: {reason}", rows::format_time(*at))
}

#[cfg(test)]
mod tests {
    use quire_tasks::{EngineControl, EngineReport, EngineStats};

    use super::*;

    fn engine() -> EngineName {
        "a@1".parse().expect("a valid engine name")
    }

    fn note(reason: &str) -> OperatorNote {
        OperatorNote { reason: reason.to_owned(), by: "ada".to_owned(), at: UnixMillis(0) }
    }

    fn statuses(control: EngineControl, states: &[BreakerState]) -> EngineStatuses {
        let mut stats = EngineStats::default();
        stats.answered(Some(0.5), false, 100);
        stats.failed();
        let report = |(worker, state): (usize, &BreakerState)| EngineReport {
            engine: engine(),
            worker: worker.to_string(),
            at: UnixMillis(1),
            state: *state,
            reason: (*state == BreakerState::Open).then(|| "no response".to_owned()),
            stats,
            trial: 0,
        };
        EngineStatuses::new([(engine(), control)].into(), states.iter().enumerate().map(report).collect())
    }

    #[test]
    fn an_engine_is_listed_with_the_statistics_of_all_workers_and_remarks() {
        let row = |statuses: &EngineStatuses| format_row(&engine(), statuses, UnixMillis(2));
        assert_eq!(row(&EngineStatuses::default()), "a@1\tclosed\t0\t0\t-\t-\t-\t-");
        let open = statuses(EngineControl::default(), &[BreakerState::Closed, BreakerState::Open]);
        assert_eq!(row(&open), "a@1\tclosed\t2\t4\t50.0%\t0.500\t100\tunavailable in 1 of 2 workers: no response");
        let paused = EngineControl {
            paused: Some(note("new weights")),
            rolled_back: Some(note("worse")),
            ..EngineControl::default()
        };
        assert_eq!(
            row(&statuses(paused, &[BreakerState::Closed])),
            "a@1\tpaused\t1\t2\t50.0%\t0.500\t100\tpaused by ada at 1970-01-01T00:00:00Z: new weights; \
             rolled back by ada at 1970-01-01T00:00:00Z: worse"
        );
    }

    #[test]
    fn only_a_canary_can_be_rolled_back() {
        let error = check_canary(&Config::default(), &engine()).expect_err("a@1 is not a canary").to_string();
        assert_eq!(error, "a@1 is not a canary: no route has one");
    }
}
