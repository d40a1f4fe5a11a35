//! `quire dead-letters`: what could not be done, and another try.

use quire_dead_letter::{DeadLetter, DeadLetterKind, DeadLetterSelection, RedriveOutcome};
use quire_platform::Backend;

use crate::{cli::DeadLetters, print, site::Site};

/// Runs one of the subcommands on a backend, whether it is being served or not.
pub(crate) async fn dead_letters(args: DeadLetters) -> anyhow::Result<()> {
    let place = match &args {
        DeadLetters::List { place, .. } | DeadLetters::Show { place, .. } | DeadLetters::Redrive { place, .. } => place,
    };
    // Nothing is made here: a folder that is none of ours is a slip of the operator's.
    let backend = Site::existing(place).await?.backend();
    match args {
        DeadLetters::List { queue, .. } => list(&backend, queue).await,
        DeadLetters::Show { queue, name, .. } => show(&backend, queue, &name).await,
        DeadLetters::Redrive { queue, names, .. } => redrive(&backend, queue, names).await,
    }
}

async fn list(backend: &Backend, kind: Option<DeadLetterKind>) -> anyhow::Result<()> {
    let kinds = kind.map_or_else(|| DeadLetterKind::ALL.to_vec(), |kind| vec![kind]);
    let mut lines = Vec::new();
    for kind in kinds {
        lines.extend(quire_dead_letter::list_dead_letters(backend, kind).await?.iter().map(line));
    }
    print::lines(&lines)
}

/// Tab-separated: for eyes, and for `cut`.
fn line(letter: &DeadLetter) -> String {
    format!("{}\t{}\t{}\t{}", letter.queue, letter.name, print::time(letter.filed_at), letter.reason)
}

async fn show(backend: &Backend, kind: DeadLetterKind, name: &str) -> anyhow::Result<()> {
    let letter = quire_dead_letter::show_dead_letter(backend, kind, name).await?;
    print::lines(&[serde_json::to_string_pretty(&letter)?])
}

async fn redrive(backend: &Backend, kind: DeadLetterKind, names: Vec<String>) -> anyhow::Result<()> {
    let selection = if names.is_empty() { DeadLetterSelection::All } else { DeadLetterSelection::Named(names) };
    let redriven = quire_dead_letter::redrive(backend, kind, selection).await?;
    let lines: Vec<String> = redriven.iter().map(|one| format!("{}\t{}", one.name, outcome(one.outcome))).collect();
    print::lines(&lines)
}

fn outcome(outcome: RedriveOutcome) -> &'static str {
    match outcome {
        RedriveOutcome::Sent => "sent",
        RedriveOutcome::NotNeeded => "no longer needed",
        RedriveOutcome::Kept { why } => why,
    }
}
