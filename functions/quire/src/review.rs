//! `quire review`: lists, accepts and corrects pages that need a review.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use quire_dead_letter::{
    ReviewCase, ReviewOutcome, ReviewStatus, accept_review, correct_review, list_reviews, show_review,
};
use quire_native_libs::Progress;
use quire_platform::Backend;
use quire_tasks::{ObjectKey, PageRef};

use crate::{cli::ReviewCommand, deployment::Deployment, rows, sandbox::sandbox};

/// The largest corrected text: larger than the text of any page.
const MAX_TEXT_BYTES: u64 = 4 << 20;

/// Runs a subcommand, whether the backend is being served or not.
pub(crate) async fn run(command: ReviewCommand) -> anyhow::Result<()> {
    let deployment = match &command {
        ReviewCommand::List { deployment }
        | ReviewCommand::Show { deployment, .. }
        | ReviewCommand::Accept { deployment, .. }
        | ReviewCommand::Correct { deployment, .. } => deployment,
    };
    let backend = Deployment::open_existing(deployment).await?.backend();
    match command {
        ReviewCommand::List { .. } => list(&backend).await,
        ReviewCommand::Show { name, image, .. } => show(&backend, &name, image).await,
        ReviewCommand::Accept { names, author, .. } => accept(&backend, &names, &author.by).await,
        ReviewCommand::Correct { name, text, author, .. } => correct(&backend, &name, &text, &author.by).await,
    }
}

async fn list(backend: &Backend) -> anyhow::Result<()> {
    let rows: Vec<String> = list_reviews(backend).await?.iter().map(format_row).collect();
    rows::print(&rows)
}

/// Formats a page as a tab-separated row.
fn format_row(ReviewCase { name, review_status, entry }: &ReviewCase) -> String {
    let reason = match review_status {
        ReviewStatus::BeingRead => "being_read",
        ReviewStatus::Waiting | ReviewStatus::Settled => entry.reason.as_str(),
    };
    let engine = rows::cell_or_unknown(entry.engine.as_ref().map(ToString::to_string));
    let confidence = rows::cell_or_unknown(entry.confidence.map(|confidence| format!("{confidence:.3}")));
    let filed_at = rows::format_time(entry.filed_at);
    format!("{name}\t{filed_at}\t{reason}\t{engine}\t{confidence}\t{}", entry.detail)
}

async fn show(backend: &Backend, name: &str, image: Option<PathBuf>) -> anyhow::Result<()> {
    let details = show_review(backend, name).await?;
    if let Some(file) = image {
        write_page_image(backend, details.case.entry.page, &file).await?;
    }
    rows::print_json(&details)
}

/// Renders the page and writes it as a PNG file.
async fn write_page_image(backend: &Backend, page: PageRef, file: &Path) -> anyhow::Result<()> {
    let key = ObjectKey::Document { task_id: page.task_id, document: page.document }.to_string();
    let document = backend.objects.local_file(&key).await.context("cannot fetch the page's document")?;
    let pdfium = tokio::task::spawn_blocking(|| quire_native_libs::pdfium(&Progress::Bar)).await??;
    let rendered = sandbox(pdfium, None)?.page(&document, page.page).await.context("cannot render the page")?;
    std::fs::write(file, rendered.image.to_png()).with_context(|| format!("cannot write {}", file.display()))
}

async fn accept(backend: &Backend, names: &[String], by: &str) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut failed = 0;
    for name in names {
        let outcome = accept_review(backend, name, by).await?;
        failed += usize::from(matches!(outcome, ReviewOutcome::Kept { .. }));
        rows.push(format!("{name}\t{}", describe("accepted", outcome)));
    }
    rows::print(&rows)?;
    ensure!(failed == 0, "{failed} of {} pages could not be accepted", names.len());
    Ok(())
}

async fn correct(backend: &Backend, name: &str, text: &Path, by: &str) -> anyhow::Result<()> {
    let text = read_text(text)?;
    match correct_review(backend, name, &text, by).await? {
        ReviewOutcome::Done => rows::print(&[format!("{name}\tcorrected")]),
        other => bail!("{name}: nothing was changed: {}", describe("corrected", other)),
    }
}

fn describe(done: &str, outcome: ReviewOutcome) -> String {
    match outcome {
        ReviewOutcome::Done => done.to_owned(),
        ReviewOutcome::NotNeeded => "the page was read again, corrected or deleted in the meantime".to_owned(),
        ReviewOutcome::Kept { why } => why,
    }
}

/// Reads a text file, or standard input for `-`.
fn read_text(file: &Path) -> anyhow::Result<String> {
    let name = file.display();
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().take(MAX_TEXT_BYTES + 1).read_to_string(&mut text)
    } else {
        let opened = File::open(file).with_context(|| format!("cannot open {name}"))?;
        opened.take(MAX_TEXT_BYTES + 1).read_to_string(&mut text)
    };
    let bytes = read.with_context(|| format!("cannot read {name} as UTF-8"))?;
    ensure!(bytes as u64 <= MAX_TEXT_BYTES, "{name} has more than {MAX_TEXT_BYTES} bytes");
    Ok(text)
}
