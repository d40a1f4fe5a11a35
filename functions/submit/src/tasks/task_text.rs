//! Composes a task's result as text, page by page, in bounded memory.

use std::collections::BTreeSet;

use quire_formats::{TextFormat, TextWriter};
use quire_platform::{Backend, PageBatches, Result};
use quire_tasks::{EngineName, Task};

use crate::tasks::{
    page_texts::{StoredText, page_texts},
    result_buffer::{ComposedResult, ResultBuffer},
    title::{file_name, title},
};

/// The number of pages in memory at a time.
const PAGE_BATCH: usize = 32;

/// Composes the result in a text format. A result of more than `max_bytes` is written to a file.
///
/// # Errors
/// [`quire_platform::Error::NotFound`] if the task was deleted concurrently, or any other error of the backend.
pub(crate) async fn compose_text(
    backend: &Backend,
    task: &Task,
    form: TextFormat,
    max_bytes: usize,
) -> Result<ComposedResult> {
    let engines = if form == TextFormat::Alto { read_engines(backend, task).await? } else { BTreeSet::new() };
    let mut buffer = ResultBuffer::new(backend, max_bytes);
    let mut scribe = TextWriter::new(form);
    buffer.write(&scribe.begin(&title(task), file_name(task), &engines)).await?;
    let mut rows = PageBatches::of_task(backend, task.id);
    let mut document = None;
    while let Some(pages) = rows.next().await? {
        for pages in pages.chunks(PAGE_BATCH) {
            for (row, stored) in page_texts(backend, task, pages.to_vec()).await? {
                if document.replace(row.page.document).is_some_and(|before| before != row.page.document) {
                    buffer.write(&scribe.end_document()).await?;
                }
                let page = if let StoredText::Read(page) = &stored { Some(&**page) } else { None };
                buffer.write(&scribe.page(page)).await?;
            }
        }
    }
    buffer.write(&scribe.end()).await?;
    buffer.finish().await
}

/// Returns the engines that read the pages. This reads all pages twice, because ALTO lists the engines before the
/// pages.
async fn read_engines(backend: &Backend, task: &Task) -> Result<BTreeSet<EngineName>> {
    let mut engines = BTreeSet::new();
    let mut rows = PageBatches::of_task(backend, task.id);
    while let Some(pages) = rows.next().await? {
        for pages in pages.chunks(PAGE_BATCH) {
            for (_, stored) in page_texts(backend, task, pages.to_vec()).await? {
                if let StoredText::Read(text) = stored {
                    engines.insert(text.engine);
                }
            }
        }
    }
    Ok(engines)
}
