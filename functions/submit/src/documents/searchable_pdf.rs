//! Makes the searchable PDF of a task: the pages of its documents with their text in place.
//!
//! The pages of a PDF are copied as they are, and the text is added to them. Other pages are rendered: those of images,
//! of a PDF that cannot be copied, and of redacted tasks. A child process renders one page at a time, which is appended
//! to the file at once, so that the memory is bounded. In a redacted task, the redacted parts are blacked out before
//! the image is encoded, and a page whose redactions are uncertain is blacked out completely.

use std::{
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use quire_formats::{PdfImage, PdfPage, SearchablePdf};
use quire_platform::{Backend, Delivery, Error, now, retry_with_backoff};
use quire_tasks::{
    Document, DocumentFormat, DocumentMessage, DocumentState, Failure, FailureCode, ObjectKey, Page, PageText, Polygon,
    Task,
};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::{
    documents::{
        page_images::{ImageRedaction, PageImages, PageJpeg},
        pdf_preparation::PdfPreparation,
        pdf_source::{Pdf, PdfSource},
        spool::new_spool_file,
        stored_page::add_stored_page,
        task_watch::wait_until_pointless,
    },
    state::AppState,
    tasks::{
        page_texts::{StoredText, page_texts},
        title::title,
    },
};

/// The maximum number of attempts that crash. More than one, because a deployment also ends a process.
const MAX_ATTEMPTS: u32 = 3;
/// The retry delay if all permits for rendering are taken.
const BUSY_RETRY_DELAY: Duration = Duration::from_secs(2);
/// The number of pages whose texts are in memory at a time.
const PAGE_BATCH: usize = 32;
/// The size in pixels of a page that cannot be rendered and has no text: A4 at [`BLANK_DPI`].
const BLANK_SIZE: (u32, u32) = (1654, 2339);
/// The resolution of a page that cannot be rendered.
const BLANK_DPI: f32 = 200.0;

/// Makes the PDF for a message, unless it is ready, and writes the outcome to the [`PdfPreparation`] that clients poll.
///
/// # Errors
/// Any error of the backend. The lease is dropped, so that the message is received again.
pub(crate) async fn make_searchable_pdf(app: &AppState, delivery: Delivery<DocumentMessage>) -> Result<()> {
    let Delivery { message, attempt, lease, .. } = delivery;
    let backend = &app.backend;
    let Some(task) = find_task(backend, &message).await? else { return Ok(lease.acknowledge().await?) };
    if matches!(PdfPreparation::read(backend, &task).await?, Some(PdfPreparation::Ready { .. })) {
        return Ok(lease.acknowledge().await?);
    }
    // Never wait for a permit here, because documents share the queue.
    let Some(_permit) = app.pools.searchable_pdfs.try_acquire(task.tenant.as_str()) else {
        return Ok(lease.requeue(BUSY_RETRY_DELAY).await?);
    };
    let outcome = if attempt > MAX_ATTEMPTS {
        Err(Failure::new(FailureCode::AttemptsExhausted, "Every attempt to make the PDF crashed."))
    } else {
        let round = task.round;
        tokio::select! {
            made = make_within_limit(app, &task) => made?,
            () = wait_until_pointless(backend, &task, |task| task.round != round) => {
                // Cleans up if the task was deleted.
                find_task(backend, &message).await?;
                return Ok(lease.acknowledge().await?);
            }
        }
    };
    let preparation = match outcome {
        Ok(bytes) => PdfPreparation::Ready { bytes },
        Err(failure) => {
            warn!(task.id = %task.id, code = failure.code.as_str(), "cannot make a searchable PDF");
            PdfPreparation::Failed { at: now(), failure }
        }
    };
    preparation.write(backend, &task).await?;
    // If the task was deleted concurrently, this cleans up.
    find_task(backend, &message).await?;
    Ok(lease.acknowledge().await?)
}

/// Returns the task if it has ended and is in the round of the message. If it was deleted, cleans up its PDF.
async fn find_task(backend: &Backend, message: &DocumentMessage) -> Result<Option<Task>> {
    let task = match retry_with_backoff(|| backend.tasks.task(message.task_id)).await {
        Ok(task) if !task.expired(now()) => task,
        Ok(_) | Err(Error::NotFound { .. }) => {
            delete_pdf(backend, message).await?;
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let is_current = task.round == message.round && task.status().ended();
    Ok(is_current.then_some(task))
}

async fn delete_pdf(backend: &Backend, message: &DocumentMessage) -> Result<()> {
    let DocumentMessage { task_id, round, .. } = *message;
    for ending in ["pdf", "pdf.json"] {
        let key = ObjectKey::Result { task_id, round, ending }.to_string();
        retry_with_backoff(|| backend.objects.erase(&key)).await?;
    }
    Ok(())
}

/// Makes the PDF and stores it, within the timeout. The outer error is the backend's.
async fn make_within_limit(app: &AppState, task: &Task) -> Result<Result<u64, Failure>> {
    let limit = app.settings.result_limit;
    timeout(limit, make_and_store(app, task)).await.unwrap_or_else(|_| {
        let message = format!("Timeout: the PDF was not made within {} s; it has too many pages.", limit.as_secs());
        Ok(Err(Failure::new(FailureCode::TimedOut, message)))
    })
}

/// Makes the PDF and stores it. Returns its size in bytes. The outer error is the backend's.
async fn make_and_store(app: &AppState, task: &Task) -> Result<Result<u64, Failure>> {
    let begun = std::time::Instant::now();
    let (_folder, file) = new_spool_file(app, "result-").await?;
    let bytes = match write_pdf(app, task, &file).await? {
        Ok(bytes) => bytes,
        Err(failure) => return Ok(Err(failure)),
    };
    let key = PdfPreparation::pdf_key(task).to_string();
    retry_with_backoff(|| app.backend.objects.put_file(&key, &file)).await?;
    let duration_ms = begun.elapsed().as_millis() as u64;
    let pages = task.counts.total();
    info!(task.id = %task.id, task.pages = pages, result.bytes = bytes, duration_ms, "searchable PDF made");
    Ok(Ok(bytes))
}

async fn write_pdf(app: &AppState, task: &Task, file: &Path) -> Result<Result<u64, Failure>> {
    let path = file.to_owned();
    let begin = move || SearchablePdf::new(BufWriter::new(File::create(path)?));
    let mut pdf = tokio::task::spawn_blocking(begin).await?.context("cannot write to the spool")?;
    let pages = retry_with_backoff(|| app.backend.tasks.pages(task.id)).await?;
    let mut rest = &pages[..];
    for document in &task.documents {
        let (own, others) = rest.split_at(rest.partition_point(|page| page.page.document <= document.number));
        rest = others;
        if !matches!(document.state, DocumentState::Split(_)) {
            continue;
        }
        let key = ObjectKey::Document { task_id: task.id, document: document.number }.to_string();
        let local = match retry_with_backoff(|| app.backend.objects.local_file(&key)).await {
            Err(Error::NotFound { .. }) => return Ok(Err(missing_document())),
            local => local?,
        };
        let Some(mut images) = app.inspector.page_images(&local) else {
            return Ok(Err(Failure::new(FailureCode::Internal, "This server cannot render pages.")));
        };
        let origin;
        (pdf, origin) = match origin_of(task, document, &local, pdf, &mut *images).await? {
            Ok(found) => found,
            Err(failure) => return Ok(Err(failure)),
        };
        for pages in own.chunks(PAGE_BATCH) {
            pdf = match add_pages(app, task, pdf, pages, &mut *images, &origin).await? {
                Ok(pdf) => pdf,
                Err(failure) => return Ok(Err(failure)),
            };
        }
    }
    let title = title(task);
    let end = move || {
        let file = pdf.finish(&title)?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        Ok::<_, std::io::Error>(file.metadata()?.len())
    };
    Ok(Ok(tokio::task::spawn_blocking(end).await?.context("cannot write to the spool")?))
}

fn missing_document() -> Failure {
    Failure::new(FailureCode::Internal, "A document is missing from the store.")
}

/// Where the pages of a document come from.
#[derive(Debug, Clone)]
enum Origin {
    /// They are copied from a PDF.
    Copied(PdfSource),
    /// They are images, in the file at this path.
    Stored(PathBuf),
    /// They are rendered.
    Rendered,
}

/// Returns where the pages of a document come from. If they are copied, the objects of the document are added to the
/// PDF. The outer error is that of the spool.
async fn origin_of(
    task: &Task,
    document: &Document,
    local: &Path,
    pdf: Pdf,
    images: &mut dyn PageImages,
) -> Result<Result<(Pdf, Origin), Failure>> {
    let local = local.to_owned();
    let DocumentState::Split(split) = &document.state else { return Ok(Ok((pdf, Origin::Rendered))) };
    if task.redact.is_some() {
        return Ok(Ok((pdf, Origin::Rendered)));
    }
    if split.format != DocumentFormat::Pdf {
        return Ok(Ok((pdf, Origin::Stored(local))));
    }
    let copied = images.copy_pdf(pdf.next_number()).await.and_then(|copy| {
        // Catalogs cannot be merged.
        let is_one_of_several = copy.appearance.bytes > 0 && pdf.has_appearance();
        let message = "Another document of the task has layers or a form, too.";
        let failure = Failure::new(FailureCode::UnsupportedFormat, message);
        if is_one_of_several { Err(failure) } else { Ok(copy) }
    });
    let copy = match copied {
        Ok(copy) => copy,
        Err(failure) if failure.code == FailureCode::Internal => return Ok(Err(failure)),
        Err(failure) => {
            let reason = &failure.message;
            info!(task.id = %task.id, document.no = document.number, reason, "the pages of a PDF are rendered");
            return Ok(Ok((pdf, Origin::Rendered)));
        }
    };
    let is_only = task.documents.len() == 1;
    let import = move || PdfSource::import(pdf, copy, &local, is_only);
    let (pdf, source) = tokio::task::spawn_blocking(import).await?.context("cannot write to the spool")?;
    Ok(Ok((pdf, source.map_or(Origin::Rendered, Origin::Copied))))
}

/// Appends pages.
async fn add_pages(
    app: &AppState,
    task: &Task,
    mut pdf: Pdf,
    pages: &[Page],
    images: &mut dyn PageImages,
    origin: &Origin,
) -> Result<Result<Pdf, Failure>> {
    for (page, text) in page_texts(&app.backend, task, pages.to_vec()).await? {
        let text = if let StoredText::Read(text) = text { Some(*text) } else { None };
        let number = page.page.page;
        let is_added;
        (pdf, is_added) = add_original(pdf, number, text.as_ref(), images, origin).await?;
        if !is_added {
            let redaction = redaction_of(task.redact.is_some(), text.as_ref());
            let image = match images.page_image(number, &redaction).await {
                Ok(image) => Some(image),
                Err(failure) if failure.code == FailureCode::Internal => return Ok(Err(failure)),
                // A page that cannot be rendered is blank: it could not be read either.
                Err(_) => None,
            };
            let append = move || {
                let text = text.as_ref().filter(|text| has_size_of(text, image.as_ref()));
                pdf.page(&sheet(image.as_ref(), text), text)?;
                Ok::<_, std::io::Error>(pdf)
            };
            pdf = tokio::task::spawn_blocking(append).await?.context("cannot write to the spool")?;
        }
        let max_bytes = app.settings.max_result_bytes;
        if pdf.bytes() > max_bytes {
            let message = format!("The PDF exceeds {max_bytes} bytes.");
            return Ok(Err(Failure::new(FailureCode::DocumentTooLarge, message)));
        }
    }
    Ok(Ok(pdf))
}

/// Appends a page as its document has it; returns whether that was possible.
async fn add_original(
    mut pdf: Pdf,
    number: u32,
    text: Option<&PageText>,
    images: &mut dyn PageImages,
    origin: &Origin,
) -> Result<(Pdf, bool)> {
    let text = text.cloned();
    let append: Box<dyn FnOnce() -> std::io::Result<(Pdf, bool)> + Send> = match origin.clone() {
        Origin::Rendered => return Ok((pdf, false)),
        Origin::Copied(source) => {
            let Ok(space) = images.page_space(number).await else { return Ok((pdf, false)) };
            Box::new(move || {
                source.add_page(&mut pdf, number, &space, text.as_ref())?;
                Ok((pdf, true))
            })
        }
        Origin::Stored(path) => {
            let Ok(image) = images.stored_image(number).await else { return Ok((pdf, false)) };
            Box::new(move || {
                let is_added = add_stored_page(&mut pdf, &image, &path, text.as_ref())?;
                Ok((pdf, is_added))
            })
        }
    };
    tokio::task::spawn_blocking(append).await?.context("cannot write to the spool")
}

/// Returns the parts of a page that are blacked out.
fn redaction_of(is_redacted: bool, text: Option<&PageText>) -> ImageRedaction {
    let unknown = if is_redacted { ImageRedaction::Everything } else { ImageRedaction::Nothing };
    let Some(text) = text else { return unknown };
    let Some(redactions) = &text.redactions else { return unknown };
    // The correction of a page has text without positions, so that the redacted parts are unknown.
    if text.corrected.is_some() {
        return ImageRedaction::Everything;
    }
    let parts: Option<Vec<Polygon>> = redactions.iter().map(|redaction| redaction.polygon).collect();
    match parts {
        Some(parts) => ImageRedaction::Parts { width: text.width, height: text.height, parts },
        None => ImageRedaction::Everything,
    }
}

/// Whether a text has the size of the rendered page. The correction of an unread page has no size and always fits.
fn has_size_of(text: &PageText, image: Option<&PageJpeg>) -> bool {
    let size = image.map(|image| (image.shape.page_width, image.shape.page_height));
    let has_no_size = (text.width, text.height) == (0, 0);
    has_no_size || size.is_none_or(|size| size == (text.width, text.height))
}

fn sheet<'a>(image: Option<&'a PageJpeg>, text: Option<&PageText>) -> PdfPage<'a> {
    let Some(PageJpeg { jpeg, shape }) = image else {
        let size = text.map(|text| (text.width, text.height)).filter(|(width, height)| width * height > 0);
        let (width, height) = size.unwrap_or(BLANK_SIZE);
        return PdfPage { width, height, dpi: BLANK_DPI, picture: None };
    };
    let picture = PdfImage { jpeg, width: shape.width, height: shape.height, is_gray: shape.is_gray };
    PdfPage { width: shape.page_width, height: shape.page_height, dpi: shape.dpi, picture: Some(picture) }
}

#[cfg(test)]
mod tests {
    use quire_tasks::{Correction, EngineName, Redaction};

    use crate::documents::page_images::PageJpegShape;

    use super::*;

    fn text(redactions: Option<Vec<Option<Polygon>>>) -> PageText {
        let engine: EngineName = "test@1".parse().expect("a name");
        let redaction =
            |polygon| Redaction { kind: "email".to_owned(), line: Some(0), field: None, start: 0, end: 7, polygon };
        let redactions = redactions.map(|polygons| polygons.into_iter().map(redaction).collect());
        PageText { redactions, ..PageText::from_lines(engine, 100, 50, 0, Vec::new()) }
    }

    #[test]
    fn redacted_parts_are_blacked_out() {
        let polygon = [[1.0, 2.0], [3.0, 2.0], [3.0, 4.0], [1.0, 4.0]];
        let of = |parts| ImageRedaction::Parts { width: 100, height: 50, parts };
        assert_eq!(redaction_of(true, Some(&text(Some(vec![Some(polygon)])))), of(vec![polygon]));
        assert_eq!(redaction_of(true, Some(&text(Some(vec![])))), of(vec![]));
        assert_eq!(redaction_of(false, Some(&text(None))), ImageRedaction::Nothing);
        assert_eq!(redaction_of(false, None), ImageRedaction::Nothing);
    }

    #[test]
    fn a_page_with_uncertain_redactions_is_blacked_out() {
        let polygon = [[1.0, 2.0], [3.0, 2.0], [3.0, 4.0], [1.0, 4.0]];
        let corrected = Some(Correction { by: "anna".to_owned(), at: "now".to_owned() });
        for (read, why) in [
            (None, "not read"),
            (Some(text(None)), "not redacted"),
            (Some(text(Some(vec![Some(polygon), None]))), "a redaction without a position"),
            (Some(PageText { corrected, ..text(Some(vec![])) }), "corrected"),
        ] {
            assert_eq!(redaction_of(true, read.as_ref()), ImageRedaction::Everything, "{why}");
        }
    }

    #[test]
    fn a_text_of_another_size_does_not_belong_to_the_image() {
        let shape =
            PageJpegShape { width: 50, height: 25, is_gray: true, page_width: 100, page_height: 50, dpi: 200.0 };
        let image = |page_width| PageJpeg { jpeg: Vec::new(), shape: PageJpegShape { page_width, ..shape } };
        assert!(has_size_of(&text(None), Some(&image(100))) && has_size_of(&text(None), None));
        assert!(!has_size_of(&text(None), Some(&image(101))));
        assert!(has_size_of(&PageText { width: 0, height: 0, ..text(None) }, Some(&image(101))));
    }
}
