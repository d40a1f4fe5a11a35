//! Documents become page images, on the one thread that owns pdfium.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use quire_document::{Documents, PageImage, sniff_file};
use quire_tasks::{Failure, FailureCode, Split};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};
use tracing::error;

use crate::{
    complete::Completer,
    in_flight::{End, InFlight},
};

/// What a page costs in a micro-batch and in memory: its pixels.
pub(crate) fn cost(image: &PageImage) -> u64 {
    u64::from(image.width()) * u64::from(image.height())
}

type Job = Box<dyn FnOnce(&mut Documents) + Send>;

/// The owner of pdfium: opens documents, one at a time. Cheap to clone; the thread ends with its last clone.
#[derive(Debug, Clone)]
pub struct Renderer {
    jobs: mpsc::Sender<Job>,
}

impl Renderer {
    /// Starts the thread; `documents` is made on it.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(documents: impl FnOnce() -> Documents + Send + 'static) -> std::io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job>(1);
        std::thread::Builder::new().name("render".to_owned()).spawn(move || {
            let mut documents = documents();
            while let Some(job) = queue.blocking_recv() {
                job(&mut documents);
            }
        })?;
        Ok(Self { jobs })
    }

    /// Checks a document: its format and how many pages it has.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn inspect(&self, file: PathBuf) -> Result<Split, Failure> {
        self.call(FailureCode::UnreadableDocument, move |documents| documents.inspect(&file)).await
    }

    /// Decodes or renders a page.
    ///
    /// # Errors
    /// Why it cannot be.
    pub async fn page(&self, file: PathBuf, page: u32) -> Result<PageImage, Failure> {
        let open = move |documents: &mut Documents| {
            let unreadable = || Failure::new(FailureCode::UnreadablePage, "The page's document is unreadable.");
            let format = sniff_file(&file).ok().flatten().ok_or_else(unreadable)?;
            documents.page(&file, format, page)
        };
        self.call(FailureCode::UnreadablePage, open).await
    }

    /// Runs `work` on the thread. A panic is this document's failure, not the thread's end.
    async fn call<T: Send + 'static>(
        &self,
        on_panic: FailureCode,
        work: impl FnOnce(&mut Documents) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (answer, answered) = oneshot::channel();
        let job = move |documents: &mut Documents| {
            let result = catch_unwind(AssertUnwindSafe(|| work(documents)));
            // Nobody waits for it any more when the process is stopping.
            let _ = answer.send(result.unwrap_or_else(|panic| Err(Failure::new(on_panic, panicked(&*panic)))));
        };
        let gone = || Failure::new(FailureCode::Internal, "the rendering thread has ended");
        self.jobs.send(Box::new(job)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

fn panicked(panic: &(dyn Any + Send)) -> String {
    let what = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("decoding it panicked: {}", what.unwrap_or("for no reason given"))
}

/// Renders one page after the other, as far ahead of the engines as `pixels_in_hand` allow.
pub(crate) async fn run(
    renderer: Renderer,
    page_limit: Duration,
    pixels_in_hand: u32,
    mut pages: mpsc::Receiver<InFlight<PathBuf>>,
    to_read: mpsc::Sender<InFlight<PageImage>>,
    to_complete: mpsc::Sender<InFlight<End>>,
    completer: &Completer,
) -> anyhow::Result<()> {
    let pixels = Arc::new(Semaphore::new(pixels_in_hand as usize));
    while let Some(page) = pages.recv().await {
        let (file, mut page) = page.split();
        let Ok(page_image) = timeout(page_limit, renderer.page(file, page.message.page.page)).await else {
            let id = page.message.page;
            error!(task.id = %id.task_id, page.no = id.page, trace.id = page.trace_id(), "rendering does not come back");
            completer.give_up(page, "rendering", page_limit).await;
            bail!("rendering did not come back within {} s", page_limit.as_secs());
        };
        match page_image {
            Ok(image) => {
                let share = cost(&image).min(u64::from(pixels_in_hand)) as u32;
                let permit = Arc::clone(&pixels).acquire_many_owned(share).await;
                page.pixels = Some(permit.context("the semaphore is never closed")?);
                to_read.send(page.with(image)).await.ok().context("reading has ended")?;
            }
            Err(failure) => {
                to_complete.send(page.with(failure.into())).await.ok().context("completing has ended")?;
            }
        }
    }
    Ok(())
}
