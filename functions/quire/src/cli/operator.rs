//! Arguments of the operator's subcommands.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use quire_dead_letter::DeadLetterKind;
use quire_tasks::MAX_WORD_CHARS;

use super::shared_args::{DeploymentArgs, RoutesArgs};

/// The longest reason or name, in characters.
const MAX_LINE_CHARS: usize = 2 * MAX_WORD_CHARS;

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List dead letters: queue, name, time and reason.
    List {
        /// Only this queue [default: all].
        #[arg(value_name = "pages|documents|callbacks")]
        queue: Option<DeadLetterKind>,
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
    /// Print a dead letter as JSON.
    Show {
        /// The queue.
        #[arg(value_name = "pages|documents|callbacks")]
        queue: DeadLetterKind,
        /// The name, from `quire dead-letters list`.
        name: String,
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
    /// Send dead letters to their queue again. Pages of an ended task start a new round, whose end sends a new
    /// callback.
    Redrive {
        /// The queue. Failed documents cannot be redriven: submit them again instead.
        #[arg(value_name = "pages|callbacks")]
        queue: DeadLetterKind,
        /// Only these [default: all of the queue].
        names: Vec<String>,
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum EnginesCommand {
    /// List engines: name, state, workers, pages, failures, mean confidence, mean milliseconds per page, and remarks.
    List {
        #[command(flatten)]
        scope: EngineScopeArgs,
    },
    /// Stop sending pages to an engine. Its pages wait, or are read by the route's fallback.
    Pause(DecisionArgs),
    /// End a pause.
    Resume(EngineNameArgs),
    /// Probe an engine whose circuit breaker is open: every worker sends it one page now.
    Probe(DecisionArgs),
    /// End the trial of a canary: it gets no new tasks.
    RollBack(DecisionArgs),
    /// Start the trial of a canary again, with new statistics.
    Reinstate(EngineNameArgs),
}

/// The configured engines, and the backend with their status.
#[derive(Debug, Args)]
pub(crate) struct EngineScopeArgs {
    #[command(flatten)]
    pub(crate) routes: RoutesArgs,
    #[command(flatten)]
    pub(crate) deployment: DeploymentArgs,
}

/// One of the engines.
#[derive(Debug, Args)]
pub(crate) struct EngineNameArgs {
    /// The engine: `name@version`, or `name` if it has one version.
    #[arg(value_name = "NAME")]
    pub(crate) engine: String,
    #[command(flatten)]
    pub(crate) scope: EngineScopeArgs,
}

/// An operator's decision about an engine.
#[derive(Debug, Args)]
pub(crate) struct DecisionArgs {
    #[command(flatten)]
    pub(crate) named: EngineNameArgs,
    /// The reason. Customers whose tasks wait for the engine see it.
    #[arg(long, value_name = "REASON", value_parser = parse_line)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) author: AuthorArgs,
}

/// The author of a decision.
#[derive(Debug, Clone, Args)]
pub(crate) struct AuthorArgs {
    /// Your name, for the record.
    #[arg(long, value_name = "WHO", env = "USER", default_value = "operator", value_parser = parse_line)]
    pub(crate) by: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReviewCommand {
    /// List pages that need a review: name, time, reason, engine, confidence and details.
    List {
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
    /// Print a page's review entry and current text as JSON.
    Show {
        /// The name, from `quire review list`.
        name: String,
        /// Also write the page's image to this file.
        #[arg(long, value_name = "FILE.png")]
        image: Option<PathBuf>,
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
    /// Accept pages as they are.
    Accept {
        /// The names, from `quire review list`.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        author: AuthorArgs,
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
    /// Replace the text of a page. Sends the callback again, as a `task.updated`.
    Correct {
        /// The name, from `quire review list`.
        name: String,
        /// A file with the new text; `-` for standard input. In the mode fields, a JSON object.
        #[arg(long, value_name = "FILE")]
        text: PathBuf,
        #[command(flatten)]
        author: AuthorArgs,
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
}

/// Parses a short line of text, which lists and API responses show.
pub(super) fn parse_line(text: &str) -> Result<String, String> {
    let is_short = text.chars().count() <= MAX_LINE_CHARS;
    if text.trim().is_empty() || !is_short || text.contains(char::is_control) {
        return Err(format!("must be a line of 1 to {MAX_LINE_CHARS} characters"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{CliCommand, tests::parse};

    #[test]
    fn a_decision_needs_a_reason() {
        let decided = parse("quire engines pause a@1 --reason weights --by ada");
        let Ok(CliCommand::Engines(EnginesCommand::Pause(DecisionArgs { named, reason, author }))) = decided else {
            panic!("{decided:?}")
        };
        assert_eq!((named.engine.as_str(), reason.as_str(), author.by.as_str()), ("a@1", "weights", "ada"));
        assert!(parse("quire engines pause a@1").expect_err("no reason").contains("--reason"));
        let empty = parse("quire engines pause a@1 --reason \n").expect_err("an empty reason");
        assert!(empty.contains("must be a line"), "{empty}");
        assert!(parse("quire engines resume a@1").is_ok());
    }
}
