//! A searchable PDF of a whole task: each page's picture, with what was read on it in place.
//!
//! Pictures are made in a child, one at a time, and written on at once, so that neither the number of pages nor their size is
//! ever in memory. Of a task that is redacted, what was taken out is black before there is a picture, and whatever is not
//! known for sure is black altogether.

use std::{fs::File, io::BufWriter, path::Path, time::Duration};

use anyhow::{Context, Result};
use quire_formats::{PdfImage, PdfPage, SearchablePdf};
use quire_platform::{Backend, Delivery, Error, retry_with_backoff};
use quire_tasks::{DocumentMessage, DocumentState, Failure, FailureCode, ObjectKey, Page, PageText, Polygon, Task};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::{
    Door, Pictures,
    accept::now,
    answer::{Text, texts},
    compose::name,
    ingest::new_file,
    pictures::{Cover, PagePicture},
    prepare::Preparation,
};

/// How often it is tried where whoever makes it dies of it: once more than once, for that may have been a deployment.
const MOST_ATTEMPTS: u32 = 3;
/// How soon it is looked again whether there is room to make one more.
const NO_ROOM_FOR: Duration = Duration::from_secs(2);
/// How many pages' texts are read ahead.
const TEXTS_AT_A_TIME: usize = 32;
/// A page that cannot be seen at all is an empty A4, in pixels…
const UNSEEN: (u32, u32) = (1654, 2339);
/// …so many of which are an inch.
const UNSEEN_DPI: f32 = 200.0;

type Pdf = SearchablePdf<BufWriter<File>>;

/// Does what a message asks for, unless it has been done. However it ends, that is written down for those who wait.
///
/// # Errors
/// Any error of the backend; the message is then received again.
pub(crate) async fn make(door: &Door, delivery: Delivery<DocumentMessage>) -> Result<()> {
    let Delivery { message, attempt, lease, .. } = delivery;
    let backend = &door.backend;
    let Some(task) = wanted(backend, &message).await? else { return Ok(lease.acknowledge().await?) };
    if matches!(Preparation::read(backend, &task).await?, Some(Preparation::Ready { .. })) {
        return Ok(lease.acknowledge().await?);
    }
    // Not to be waited for in line: documents come by the same queue.
    let Ok(_room) = door.rendering.try_acquire() else { return Ok(lease.requeue(NO_ROOM_FOR).await?) };
    let made = if attempt > MOST_ATTEMPTS {
        Err(Failure::new(FailureCode::AttemptsExhausted, "Whoever made the PDF died of it each time."))
    } else {
        let limit = door.settings.result_limit;
        let message = || format!("The PDF was not made within {} s: it has too many pages.", limit.as_secs());
        let too_slow = |_| Ok(Err(Failure::new(FailureCode::TimedOut, message())));
        timeout(limit, pdf(door, &task)).await.unwrap_or_else(too_slow)?
    };
    let preparation = match made {
        Ok(bytes) => Preparation::Ready { bytes },
        Err(failure) => {
            warn!(task.id = %task.id, code = failure.code.as_str(), "a searchable PDF could not be made");
            Preparation::Failed { at: now(), failure }
        }
    };
    preparation.write(backend, &task).await?;
    // It may have been deleted meanwhile.
    wanted(backend, &message).await?;
    Ok(lease.acknowledge().await?)
}

/// The task, where it is still there and in the round of the message. Of one that is gone nothing stays.
async fn wanted(backend: &Backend, message: &DocumentMessage) -> Result<Option<Task>> {
    let task = match retry_with_backoff(|| backend.tasks.task(message.task_id)).await {
        Ok(task) if !task.expired(now()) => task,
        Ok(_) | Err(Error::NotFound { .. }) => {
            forget(backend, message).await?;
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Some(task).filter(|task| task.round == message.round && task.status().ended()))
}

async fn forget(backend: &Backend, message: &DocumentMessage) -> Result<()> {
    let DocumentMessage { task_id, round, .. } = *message;
    for ending in ["pdf", "pdf.json"] {
        let key = ObjectKey::Result { task_id, round, ending }.to_string();
        retry_with_backoff(|| backend.objects.erase(&key)).await?;
    }
    Ok(())
}

/// Makes it, and stores it; says how large it is, or why there is none. An error is the backend's.
async fn pdf(door: &Door, task: &Task) -> Result<Result<u64, Failure>> {
    let begun = std::time::Instant::now();
    let (_folder, file) = new_file(door, "result-").await?;
    let written = match write(door, task, &file).await? {
        Ok(bytes) => bytes,
        Err(failure) => return Ok(Err(failure)),
    };
    let key = Preparation::pdf(task).to_string();
    retry_with_backoff(|| door.backend.objects.put_file(&key, &file)).await?;
    let duration_ms = begun.elapsed().as_millis() as u64;
    info!(task.id = %task.id, task.pages = task.counts.total(), result.bytes = written, duration_ms, "searchable PDF made");
    Ok(Ok(written))
}

async fn write(door: &Door, task: &Task, file: &Path) -> Result<Result<u64, Failure>> {
    let path = file.to_owned();
    let begin = move || SearchablePdf::new(BufWriter::new(File::create(path)?));
    let mut pdf = tokio::task::spawn_blocking(begin).await?.context("the spool cannot be written")?;
    let pages = retry_with_backoff(|| door.backend.tasks.pages(task.id)).await?;
    let mut rest = &pages[..];
    for document in &task.documents {
        let (own, others) = rest.split_at(rest.partition_point(|page| page.page.document <= document.number));
        rest = others;
        if !matches!(document.state, DocumentState::Split(_)) {
            continue;
        }
        let key = ObjectKey::Document { task_id: task.id, document: document.number }.to_string();
        let local = match retry_with_backoff(|| door.backend.objects.local_file(&key)).await {
            Err(Error::NotFound { .. }) => return Ok(Err(gone())),
            local => local?,
        };
        let Some(mut pictures) = door.inspector.pictures(&local) else {
            return Ok(Err(Failure::new(FailureCode::Internal, "Pages cannot be rendered here.")));
        };
        for pages in own.chunks(TEXTS_AT_A_TIME) {
            pdf = match add(door, task, pdf, pages, &mut *pictures).await? {
                Ok(pdf) => pdf,
                Err(failure) => return Ok(Err(failure)),
            };
        }
    }
    let title = name(task).map_or_else(|| task.id.to_string(), str::to_owned);
    let end = move || {
        let file = pdf.finish(&title)?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        Ok::<_, std::io::Error>(file.metadata()?.len())
    };
    Ok(Ok(tokio::task::spawn_blocking(end).await?.context("the spool cannot be written")?))
}

fn gone() -> Failure {
    Failure::new(FailureCode::Internal, "A document is no longer there.")
}

/// Adds these pages.
async fn add(
    door: &Door,
    task: &Task,
    mut pdf: Pdf,
    pages: &[Page],
    pictures: &mut dyn Pictures,
) -> Result<Result<Pdf, Failure>> {
    for (page, text) in texts(&door.backend, task, pages.to_vec()).await? {
        let text = if let Text::Read(text) = text { Some(*text) } else { None };
        let cover = cover(task.redact.is_some(), text.as_ref());
        let picture = match pictures.picture(page.page.page, &cover).await {
            Ok(picture) => Some(picture),
            Err(failure) if failure.code == FailureCode::Internal => return Ok(Err(failure)),
            // As good as it gets: it could not be read either, or not well.
            Err(_) => None,
        };
        let append = move || {
            let text = text.as_ref().filter(|text| belongs(text, picture.as_ref()));
            pdf.page(&sheet(picture.as_ref(), text), text)?;
            Ok::<_, std::io::Error>(pdf)
        };
        pdf = tokio::task::spawn_blocking(append).await?.context("the spool cannot be written")?;
        let most = door.settings.max_result_bytes;
        if pdf.bytes() > most {
            let message = format!("The PDF would have more than {most} bytes.");
            return Ok(Err(Failure::new(FailureCode::DocumentTooLarge, message)));
        }
    }
    Ok(Ok(pdf))
}

/// What nobody is to see of a page.
fn cover(is_redacted: bool, text: Option<&PageText>) -> Cover {
    let unknown = if is_redacted { Cover::Everything } else { Cover::Nothing };
    let Some(text) = text else { return unknown };
    let Some(redactions) = &text.redactions else { return unknown };
    // Whoever corrects a page writes what it is to say, and not where what is not to be seen stands.
    if text.corrected.is_some() {
        return Cover::Everything;
    }
    let parts: Option<Vec<Polygon>> = redactions.iter().map(|redaction| redaction.polygon).collect();
    let (width, height) = (text.width, text.height);
    parts.map_or(Cover::Everything, |parts| Cover::Parts { width, height, parts })
}

/// Whether a text is of the page that the picture shows. One that somebody wrote for an unread page has no size.
fn belongs(text: &PageText, picture: Option<&PagePicture>) -> bool {
    let size = picture.map(|picture| (picture.shape.page_width, picture.shape.page_height));
    let has_no_size = (text.width, text.height) == (0, 0);
    has_no_size || size.is_none_or(|size| size == (text.width, text.height))
}

fn sheet<'a>(picture: Option<&'a PagePicture>, text: Option<&PageText>) -> PdfPage<'a> {
    let Some(PagePicture { jpeg, shape }) = picture else {
        let size = text.map(|text| (text.width, text.height)).filter(|(width, height)| width * height > 0);
        let (width, height) = size.unwrap_or(UNSEEN);
        return PdfPage { width, height, dpi: UNSEEN_DPI, picture: None };
    };
    let picture = PdfImage { jpeg, width: shape.width, height: shape.height, is_gray: shape.is_gray };
    PdfPage { width: shape.page_width, height: shape.page_height, dpi: shape.dpi, picture: Some(picture) }
}

#[cfg(test)]
mod tests {
    use quire_tasks::{Correction, EngineName, Redaction};

    use super::*;

    fn text(redactions: Option<Vec<Option<Polygon>>>) -> PageText {
        let engine: EngineName = "test@1".parse().expect("a name");
        let redaction = |polygon| {
            let (kind, line, field) = ("email".to_owned(), Some(0), None);
            Redaction { kind, line, field, start: 0, end: 7, polygon }
        };
        let redactions = redactions.map(|polygons| polygons.into_iter().map(redaction).collect());
        PageText { redactions, ..PageText::from_lines(engine, 100, 50, 0, Vec::new()) }
    }

    #[test]
    fn what_was_taken_out_is_covered_where_it_stood() {
        let polygon = [[1.0, 2.0], [3.0, 2.0], [3.0, 4.0], [1.0, 4.0]];
        let of = |parts| Cover::Parts { width: 100, height: 50, parts };
        assert_eq!(cover(true, Some(&text(Some(vec![Some(polygon)])))), of(vec![polygon]));
        assert_eq!(cover(true, Some(&text(Some(vec![])))), of(vec![]));
        assert_eq!(cover(false, Some(&text(None))), Cover::Nothing);
        assert_eq!(cover(false, None), Cover::Nothing);
    }

    #[test]
    fn what_is_not_known_for_sure_is_black() {
        let polygon = [[1.0, 2.0], [3.0, 2.0], [3.0, 4.0], [1.0, 4.0]];
        let corrected = Some(Correction { by: "anna".to_owned(), at: "now".to_owned() });
        for (read, why) in [
            (None, "it was not read"),
            (Some(text(None)), "nobody looked"),
            (Some(text(Some(vec![Some(polygon), None]))), "one stands nobody knows where"),
            (Some(PageText { corrected, ..text(Some(vec![])) }), "somebody wrote it anew"),
        ] {
            assert_eq!(cover(true, read.as_ref()), Cover::Everything, "{why}");
        }
    }

    #[test]
    fn the_text_of_another_size_does_not_belong_to_a_picture() {
        let shape = crate::pictures::Shape {
            width: 50,
            height: 25,
            is_gray: true,
            page_width: 100,
            page_height: 50,
            dpi: 200.0,
        };
        let picture =
            |page_width| PagePicture { jpeg: Vec::new(), shape: crate::pictures::Shape { page_width, ..shape } };
        assert!(belongs(&text(None), Some(&picture(100))) && belongs(&text(None), None));
        assert!(!belongs(&text(None), Some(&picture(101))));
        assert!(belongs(&PageText { width: 0, height: 0, ..text(None) }, Some(&picture(101))));
    }
}
