//! A task's result written page after page: however long it is, a few pages of it are in memory.

use std::{collections::BTreeSet, io, path::PathBuf};

use quire_formats::{TextFormat, TextWriter};
use quire_platform::{Backend, Error, Result};
use quire_tasks::{EngineName, Page, Task};
use tempfile::{NamedTempFile, TempPath};
use tokio::{fs::File, io::AsyncWriteExt};

use crate::answer::{DocumentAnswer, PageAnswer, Text, answers, texts};

/// How many pages are read and written at a time.
const AT_A_TIME: usize = 32;

/// What is written: in memory, and from a certain size on in a file.
#[derive(Debug)]
pub(crate) struct Draft {
    spool: PathBuf,
    most: usize,
    head: Vec<u8>,
    rest: Option<(File, TempPath)>,
    bytes: u64,
}

/// A whole result.
#[derive(Debug)]
pub(crate) enum Made {
    /// A short one.
    Bytes(Vec<u8>),
    /// A long one, deleted when it is dropped.
    File(TempPath, u64),
}

impl Draft {
    fn new(backend: &Backend, most: usize) -> Self {
        Self { spool: backend.objects.spool(), most, head: Vec::new(), rest: None, bytes: 0 }
    }

    async fn write(&mut self, text: &str) -> io::Result<()> {
        self.bytes += text.len() as u64;
        if self.rest.is_none() && self.head.len() + text.len() <= self.most {
            self.head.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        if self.rest.is_none() {
            let spool = self.spool.clone();
            let made = tokio::task::spawn_blocking(move || NamedTempFile::with_prefix_in("result-", spool));
            let (file, path) = made.await??.into_parts();
            let mut file = File::from_std(file);
            file.write_all(&std::mem::take(&mut self.head)).await?;
            self.rest = Some((file, path));
        }
        match &mut self.rest {
            Some((file, _)) => file.write_all(text.as_bytes()).await,
            None => Ok(()),
        }
    }

    async fn end(self) -> io::Result<Made> {
        let Some((mut file, path)) = self.rest else { return Ok(Made::Bytes(self.head)) };
        file.flush().await?;
        Ok(Made::File(path, self.bytes))
    }
}

fn spool_failure(error: &io::Error) -> Error {
    let what = "the spool";
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Error::Full { what },
        _ => Error::Failed { what, why: error.to_string() },
    }
}

/// What was read, in a form that is text. What has more than `most` bytes goes into a file.
///
/// # Errors
/// [`Error::NotFound`] where the task is deleted meanwhile; otherwise any.
pub(crate) async fn as_text(backend: &Backend, task: &Task, form: TextFormat, most: usize) -> Result<Made> {
    let pages = backend.tasks.pages(task.id).await?;
    let file = name(task);
    let engines = if form == TextFormat::Alto { engines(backend, task, &pages).await? } else { BTreeSet::new() };
    let (mut draft, mut scribe) = (Draft::new(backend, most), TextWriter::new(form));
    let title = file.map_or_else(|| task.id.to_string(), str::to_owned);
    draft.write(&scribe.begin(&title, file, &engines)).await.map_err(|error| spool_failure(&error))?;
    for pages in pages.chunks(AT_A_TIME) {
        let mut written = String::new();
        for (_, text) in texts(backend, task, pages.to_vec()).await? {
            let text = if let Text::Read(text) = &text { Some(&**text) } else { None };
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
        for (_, text) in texts(backend, task, pages.to_vec()).await? {
            if let Text::Read(text) = text {
                engines.insert(text.engine);
            }
        }
    }
    Ok(engines)
}

/// The same as JSON: what `POST /ocr/batch` answers.
///
/// # Errors
/// As [`as_text`].
pub(crate) async fn as_json(backend: &Backend, task: &Task, most: usize) -> Result<Made> {
    let pages = backend.tasks.pages(task.id).await?;
    let (mut draft, mut rest) = (Draft::new(backend, most), &pages[..]);
    let malformed = |error: serde_json::Error| Error::Failed { what: "a result", why: error.to_string() };
    for (index, document) in task.documents.iter().enumerate() {
        let (own, others) = rest.split_at(rest.partition_point(|page| page.page.document <= document.number));
        rest = others;
        // The pages first: what is said of all of them is known behind the last.
        draft
            .write(if index == 0 { "[{\"pages\":[" } else { ",{\"pages\":[" })
            .await
            .map_err(|error| spool_failure(&error))?;
        let mut told = Vec::with_capacity(own.len());
        for pages in own.chunks(AT_A_TIME) {
            let mut written = String::new();
            for (_, page) in answers(backend, task, pages.to_vec()).await? {
                if !told.is_empty() {
                    written.push(',');
                }
                written.push_str(&serde_json::to_string(&page).map_err(malformed)?);
                told.push(PageAnswer { read: None, ..page });
            }
            draft.write(&written).await.map_err(|error| spool_failure(&error))?;
        }
        let answer = DocumentAnswer { pages: Vec::new(), ..DocumentAnswer::new(task, document, told) };
        let answer = serde_json::to_string(&answer).map_err(malformed)?;
        draft.write(&behind(&answer)).await.map_err(|error| spool_failure(&error))?;
    }
    draft.write(if task.documents.is_empty() { "[]" } else { "]" }).await.map_err(|error| spool_failure(&error))?;
    draft.end().await.map_err(|error| spool_failure(&error))
}

/// The other members of an answer without pages, behind its pages. Within a text their quotation marks would be escaped.
fn behind(answer: &str) -> String {
    let (before, rest) = answer.split_once("\"pages\":[]").unwrap_or((answer, ""));
    let before = before.trim_start_matches('{').trim_end_matches(',');
    format!("],{before}{rest}")
}

/// The file's name, where there is one file.
pub(crate) fn name(task: &Task) -> Option<&str> {
    let [document] = &task.documents[..] else { return None };
    document.name.as_deref()
}
