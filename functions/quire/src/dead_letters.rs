//! `quire dead-letters`: inspects and redrives dead letters.

use quire_dead_letter::{DeadLetter, DeadLetterKind, DeadLetterSelection, RedriveOutcome};
use quire_platform::Backend;

use crate::{cli::DeadLettersCommand, deployment::Deployment, rows};

/// Runs a subcommand, whether the backend is being served or not.
pub(crate) async fn run(command: DeadLettersCommand) -> anyhow::Result<()> {
    match command {
        DeadLettersCommand::List { queue, deployment } => {
            list(&Deployment::open_existing(&deployment).await?.backend(), queue).await
        }
        DeadLettersCommand::Show { queue, name, deployment } => {
            show(&Deployment::open_existing(&deployment).await?.backend(), queue, &name).await
        }
        DeadLettersCommand::Redrive { queue, names, deployment } => {
            redrive(&Deployment::open_existing(&deployment).await?.backend(), queue, names).await
        }
    }
}

async fn list(backend: &Backend, queue: Option<DeadLetterKind>) -> anyhow::Result<()> {
    let queues = queue.map_or_else(|| DeadLetterKind::ALL.to_vec(), |queue| vec![queue]);
    let mut rows = Vec::new();
    for queue in queues {
        rows.extend(quire_dead_letter::list_dead_letters(backend, queue).await?.iter().map(format_row));
    }
    rows::print(&rows)
}

fn format_row(letter: &DeadLetter) -> String {
    format!("{}\t{}\t{}\t{}", letter.queue, letter.name, rows::format_time(letter.filed_at), letter.reason)
}

async fn show(backend: &Backend, queue: DeadLetterKind, name: &str) -> anyhow::Result<()> {
    let letter = quire_dead_letter::show_dead_letter(backend, queue, name).await?;
    rows::print_json(&letter)
}

async fn redrive(backend: &Backend, queue: DeadLetterKind, names: Vec<String>) -> anyhow::Result<()> {
    let selection = if names.is_empty() { DeadLetterSelection::All } else { DeadLetterSelection::Named(names) };
    let redriven = quire_dead_letter::redrive(backend, queue, selection).await?;
    let rows: Vec<String> =
        redriven.iter().map(|letter| format!("{}\t{}", letter.name, describe(letter.outcome))).collect();
    rows::print(&rows)
}

fn describe(outcome: RedriveOutcome) -> &'static str {
    match outcome {
        RedriveOutcome::Sent => "sent",
        RedriveOutcome::NotNeeded => "no longer needed",
        RedriveOutcome::Kept { why } => why,
    }
}
