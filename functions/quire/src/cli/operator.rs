//! What the operator's commands take.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use quire_dead_letter::DeadLetterKind;
use quire_tasks::MAX_WORD_CHARS;

use super::{Place, Routes};

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// List them.
    List {
        /// Of one kind only.
        #[arg(value_name = "pages|documents|callbacks")]
        queue: Option<DeadLetterKind>,
        #[command(flatten)]
        place: Place,
    },
    /// Show one, whole.
    Show {
        /// Its kind.
        #[arg(value_name = "pages|documents|callbacks")]
        queue: DeadLetterKind,
        /// Its name, as `list` shows it.
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// Have them tried again. Pages of ended tasks are opened in a new round, at whose end the callback is sent anew.
    Redrive {
        /// Which kind. A failed document must be submitted again instead.
        #[arg(value_name = "pages|callbacks")]
        queue: DeadLetterKind,
        /// Only these; all of the kind unless given.
        names: Vec<String>,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Engines {
    /// List them: engine, state, workers, pages, failures, mean confidence, mean milliseconds, and why it is not asked.
    List {
        #[command(flatten)]
        at: EnginesAt,
    },
    /// Have nobody ask one until it is resumed; its pages wait, or are read by its route's fallback.
    Pause(Decision),
    /// End a pause.
    Resume(Named),
    /// Have every worker that has given one up try a page now.
    Probe(Decision),
    /// End a canary's trial: no further task gets it.
    RollBack(Decision),
    /// Put a canary on trial again, from nothing.
    Reinstate(Named),
}

/// Which engines, and where they are noted.
#[derive(Debug, Args)]
pub(crate) struct EnginesAt {
    #[command(flatten)]
    pub(crate) routes: Routes,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// One of the engines.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The engine, as `name@version`, or without a version where there is one only.
    #[arg(value_name = "NAME")]
    pub(crate) engine: String,
    #[command(flatten)]
    pub(crate) at: EnginesAt,
}

/// One of the engines, and why.
#[derive(Debug, Args)]
pub(crate) struct Decision {
    #[command(flatten)]
    pub(crate) named: Named,
    /// Why: whoever waits for the engine is told.
    #[arg(long, value_name = "REASON", value_parser = words)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) person: Person,
}

/// Whoever decides.
#[derive(Debug, Clone, Args)]
pub(crate) struct Person {
    /// Who says so.
    #[arg(long, value_name = "WHO", env = "USER", default_value = "operator", value_parser = words)]
    pub(crate) by: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Review {
    /// List the pages that somebody is to look at: name, time, reason, engine, confidence, details.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Show one: why it is here, and what it says at present.
    Show {
        /// Its name, as `list` shows it.
        name: String,
        /// Write the page there as a picture, as its engine saw it.
        #[arg(long, value_name = "FILE.png")]
        image: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// Leave pages as they are: they have been looked at.
    Accept {
        /// Their names.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        person: Person,
        #[command(flatten)]
        place: Place,
    },
    /// Say what a page says. The customer is sent the callback again, as a `task.updated`.
    Correct {
        /// Its name.
        name: String,
        /// The file with its text; `-` for standard input. In the mode fields, a JSON object.
        #[arg(long, value_name = "FILE")]
        text: PathBuf,
        #[command(flatten)]
        person: Person,
        #[command(flatten)]
        place: Place,
    },
}

/// A few words on one line: they are shown in lists and answers.
pub(super) fn words(text: &str) -> Result<String, String> {
    let good =
        !text.trim().is_empty() && text.chars().count() <= 2 * MAX_WORD_CHARS && !text.contains(char::is_control);
    if good { Ok(text.to_owned()) } else { Err(format!("must be a line of 1 to {} characters", 2 * MAX_WORD_CHARS)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, tests::parsed};

    #[test]
    fn a_decision_has_a_reason() {
        let decided = parsed("quire engines pause a@1 --reason weights --by ada");
        let Ok(Command::Engines(Engines::Pause(Decision { named, reason, person }))) = decided else {
            panic!("{decided:?}")
        };
        assert_eq!((named.engine.as_str(), reason.as_str(), person.by.as_str()), ("a@1", "weights", "ada"));
        assert!(parsed("quire engines pause a@1").expect_err("why?").contains("--reason"));
        assert!(parsed("quire engines pause a@1 --reason \n").expect_err("no reason").contains("must be a line"));
        assert!(parsed("quire engines resume a@1").is_ok());
    }
}
