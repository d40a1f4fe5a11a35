//! `quire review`: pages that somebody is to look at.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use quire_dead_letter::{
    ReviewCase, ReviewOutcome, ReviewStatus, accept_review, correct_review, list_reviews, show_review,
};
use quire_document::{Documents, Limits};
use quire_native_libs::Progress;
use quire_platform::Backend;
use quire_tasks::{ObjectKey, PageRef};
use quire_worker::Renderer;

use crate::{cli::Review, print, site::Site};

/// More than any page says.
const MOST_BYTES: u64 = 4 << 20;

/// Runs one of the subcommands on a backend, whether it is being served or not.
pub(crate) async fn review(args: Review) -> anyhow::Result<()> {
    let place = match &args {
        Review::List { place }
        | Review::Show { place, .. }
        | Review::Accept { place, .. }
        | Review::Correct { place, .. } => place,
    };
    let backend = Site::existing(place).await?.backend();
    match args {
        Review::List { .. } => list(&backend).await,
        Review::Show { name, image, .. } => show(&backend, &name, image).await,
        Review::Accept { names, person, .. } => accept(&backend, &names, &person.by).await,
        Review::Correct { name, text, person, .. } => correct(&backend, &name, &text, &person.by).await,
    }
}

async fn list(backend: &Backend) -> anyhow::Result<()> {
    let lines: Vec<String> = list_reviews(backend).await?.iter().map(line).collect();
    print::lines(&lines)
}

/// Tab-separated: for eyes, and for `cut`. What is not known is a dash.
fn line(ReviewCase { name, review_status, entry }: &ReviewCase) -> String {
    let unknown = || "-".to_owned();
    let reason = match review_status {
        ReviewStatus::BeingRead => "being_read",
        ReviewStatus::Waiting | ReviewStatus::Settled => entry.reason.as_str(),
    };
    let engine = entry.engine.as_ref().map_or_else(unknown, ToString::to_string);
    let confidence = entry.confidence.map_or_else(unknown, |confidence| format!("{confidence:.3}"));
    format!("{name}\t{}\t{reason}\t{engine}\t{confidence}\t{}", print::time(entry.filed_at), entry.detail)
}

async fn show(backend: &Backend, name: &str, image: Option<PathBuf>) -> anyhow::Result<()> {
    let sheet = show_review(backend, name).await?;
    if let Some(file) = image {
        draw(backend, sheet.case.entry.page, &file).await?;
    }
    print::lines(&[serde_json::to_string_pretty(&sheet)?])
}

/// Writes the page as a picture.
async fn draw(backend: &Backend, page: PageRef, file: &Path) -> anyhow::Result<()> {
    let key = ObjectKey::Document { task_id: page.task_id, document: page.document }.to_string();
    let document = backend.objects.local_file(&key).await.context("the page's document cannot be had")?;
    let pdfium = tokio::task::spawn_blocking(|| quire_native_libs::pdfium(&Progress::Bar)).await??;
    let renderer = Renderer::start(move || Documents::new(Some(pdfium.clone()), Limits::default()))?;
    let picture = renderer.page(document, page.page).await.context("the page cannot be drawn")?;
    std::fs::write(file, picture.to_png()).with_context(|| format!("{} cannot be written", file.display()))
}

async fn accept(backend: &Backend, names: &[String], by: &str) -> anyhow::Result<()> {
    let (mut lines, mut kept) = (Vec::new(), 0);
    for name in names {
        let outcome = accept_review(backend, name, by).await?;
        kept += usize::from(matches!(outcome, ReviewOutcome::Kept { .. }));
        lines.push(format!("{name}\t{}", said("accepted", outcome)));
    }
    print::lines(&lines)?;
    ensure!(kept == 0, "{kept} of {} could not be accepted", names.len());
    Ok(())
}

async fn correct(backend: &Backend, name: &str, text: &Path, by: &str) -> anyhow::Result<()> {
    let text = written(text)?;
    match correct_review(backend, name, &text, by).await? {
        ReviewOutcome::Done => print::lines(&[format!("{name}\t{}", said("corrected", ReviewOutcome::Done))]),
        other => bail!("{name}: nothing was changed: {}", said("corrected", other)),
    }
}

fn said(done: &str, outcome: ReviewOutcome) -> String {
    match outcome {
        ReviewOutcome::Done => done.to_owned(),
        ReviewOutcome::NotNeeded => "it was read or corrected since, or is gone".to_owned(),
        ReviewOutcome::Kept { why } => why,
    }
}

fn written(file: &Path) -> anyhow::Result<String> {
    let (mut text, name) = (String::new(), file.display());
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(MOST_BYTES + 1).read_to_string(&mut text)
    } else {
        let opened = std::fs::File::open(file).with_context(|| format!("{name} cannot be opened"))?;
        opened.take(MOST_BYTES + 1).read_to_string(&mut text)
    };
    let bytes = read.with_context(|| format!("{name} cannot be read as UTF-8"))?;
    ensure!(bytes as u64 <= MOST_BYTES, "{name} has more than {MOST_BYTES} bytes");
    Ok(text)
}
