//! A task's result as text, written page after page.

use std::collections::BTreeSet;

use quire_formats::{Form, Scribe};
use quire_platform::{Backend, Result};
use quire_tasks::{EngineName, Page, Task};

use crate::tasks::{
    page_texts::{StoredText, page_texts},
    result_buffer::{ComposedResult, ResultBuffer, spool_failure},
    title::{file_name, title},
};

/// How many pages are read and written at a time.
const AT_A_TIME: usize = 32;

/// What was read, in a form that is text. What has more than `most` bytes goes into a file.
///
/// # Errors
/// [`Error::NotFound`] where the task is deleted meanwhile; otherwise any.
pub(crate) async fn as_text(backend: &Backend, task: &Task, form: Form, most: usize) -> Result<ComposedResult> {
    let pages = backend.tasks.pages(task.id).await?;
    let file = file_name(task);
    let engines = if form == Form::Alto { engines(backend, task, &pages).await? } else { BTreeSet::new() };
    let (mut draft, mut scribe) = (ResultBuffer::new(backend, most), Scribe::new(form));
    draft.write(&scribe.begin(&title(task), file, &engines)).await.map_err(|error| spool_failure(&error))?;
    for pages in pages.chunks(AT_A_TIME) {
        let mut written = String::new();
        for (_, text) in page_texts(backend, task, pages.to_vec()).await? {
            let text = if let StoredText::Read(text) = &text { Some(&**text) } else { None };
            written.push_str(&scribe.page(text));
        }
        draft.write(&written).await.map_err(|error| spool_failure(&error))?;
    }
    draft.write(&scribe.end()).await.map_err(|error| spool_failure(&error))?;
    draft.end().await.map_err(|error| spool_failure(&error))
}

/// Who read any of the pages. It takes reading them all once more, since ALTO names them before the first page.
async fn engines(backend: &Backend, task: &Task, pages: &[Page]) -> Result<BTreeSet<EngineName>> {
    let mut engines = BTreeSet::new();
    for pages in pages.chunks(AT_A_TIME) {
        for (_, text) in page_texts(backend, task, pages.to_vec()).await? {
            if let StoredText::Read(text) = text {
                engines.insert(text.engine);
            }
        }
    }
    Ok(engines)
}
