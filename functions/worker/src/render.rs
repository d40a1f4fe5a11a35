//! Documents become page images: pictures on all processors, PDFs on the one thread that owns pdfium.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use quire_document::{Documents, PageImage, sniff_file};
use quire_tasks::{DocumentFormat, Failure, FailureCode, SplitDocument};
use quire_telemetry::{panic_message, processors};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};
use tracing::error;

use crate::{
    complete::Completer,
    in_flight::{End, InFlight},
    settings::InHand,
};

/// Of the pages in hand, one in so many is rendered at a time: the others wait, are read or are stored. For an engine that
/// reads one page after the other that is one; a GPU's is busy with hundreds.
const IN_HAND_FOR_ONE: u32 = 4;

/// What a page costs in a micro-batch and in memory: its pixels.
pub(crate) fn cost(image: &PageImage) -> u64 {
    u64::from(image.width()) * u64::from(image.height())
}

type Job = Box<dyn FnOnce(&mut Documents) + Send>;

/// Opens documents. Cheap to clone; the threads end with its last clone.
#[derive(Debug, Clone)]
pub struct Renderer {
    /// Of pdfium, of which a process has one.
    owner: mpsc::Sender<Job>,
    decoders: Decoders,
}

impl Renderer {
    /// Starts the owner of pdfium and a first decoder. `documents` is called on each thread.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(documents: impl Fn() -> Documents + Send + Sync + 'static) -> std::io::Result<Self> {
        let documents = Arc::new(documents);
        let make = Arc::clone(&documents);
        let (owner, mut queue) = mpsc::channel::<Job>(1);
        thread::Builder::new().name("render".to_owned()).spawn(move || {
            let mut documents = make();
            while let Some(job) = queue.blocking_recv() {
                job(&mut documents);
            }
        })?;
        Ok(Self { owner, decoders: Decoders::start(documents)? })
    }

    /// Checks a document: its format and how many pages it has.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn inspect(&self, file: PathBuf) -> Result<SplitDocument, Failure> {
        let on_panic = FailureCode::UnreadableDocument;
        call(&self.owner, on_panic, move |documents| documents.inspect(&file)).await
    }

    /// Decodes or renders a page.
    ///
    /// # Errors
    /// Why it cannot be.
    pub async fn page(&self, file: PathBuf, page: u32) -> Result<PageImage, Failure> {
        let on_panic = FailureCode::UnreadablePage;
        let busy = self.decoders.hire();
        let picture = file.clone();
        let decode = move |documents: &mut Documents| {
            let _busy = busy;
            let unreadable = || Failure::new(FailureCode::UnreadablePage, "The page's document is unreadable.");
            match sniff_file(&picture).ok().flatten().ok_or_else(unreadable)? {
                DocumentFormat::Pdf => Ok(None),
                format => documents.page(&picture, format, page).map(Some),
            }
        };
        match call(&self.decoders.jobs, on_panic, decode).await? {
            Some(image) => Ok(image),
            None => {
                call(&self.owner, on_panic, move |documents| documents.page(&file, DocumentFormat::Pdf, page)).await
            }
        }
    }
}

/// Threads that decode pictures: as many as there were ever pictures to decode at once, and no more than processors.
#[derive(Debug, Clone)]
struct Decoders {
    jobs: mpsc::Sender<Job>,
    crew: Arc<Crew>,
}

struct Crew {
    /// Who waits for the next job holds it.
    queue: Mutex<mpsc::Receiver<Job>>,
    documents: Arc<dyn Fn() -> Documents + Send + Sync>,
    threads: AtomicUsize,
    /// Jobs that are not done yet.
    jobs: AtomicUsize,
}

impl std::fmt::Debug for Crew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crew").field("threads", &self.threads).field("jobs", &self.jobs).finish_non_exhaustive()
    }
}

/// A job that is not done yet.
struct Busy(Arc<Crew>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.jobs.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Decoders {
    fn start(documents: Arc<dyn Fn() -> Documents + Send + Sync>) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel(1);
        let (threads, none) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let crew = Arc::new(Crew { queue: Mutex::new(queue), documents, threads, jobs: none });
        crew.start_one()?;
        Ok(Self { jobs, crew })
    }

    /// Announces a job. Where all threads have one already, another starts, if it may; and if it cannot, the job waits.
    fn hire(&self) -> Busy {
        let jobs = self.crew.jobs.fetch_add(1, Ordering::SeqCst) + 1;
        let threads = self.crew.threads.load(Ordering::SeqCst);
        if jobs > threads && threads < processors() {
            let _ = self.crew.start_one();
        }
        Busy(Arc::clone(&self.crew))
    }
}

impl Crew {
    fn start_one(self: &Arc<Self>) -> std::io::Result<()> {
        let crew = Arc::clone(self);
        self.threads.fetch_add(1, Ordering::SeqCst);
        let started = thread::Builder::new().name("decode".to_owned()).spawn(move || crew.work());
        if started.is_err() {
            self.threads.fetch_sub(1, Ordering::SeqCst);
        }
        started.map(drop)
    }

    fn work(&self) {
        let mut documents = (self.documents)();
        loop {
            let job = self.queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            let Some(job) = job else { break };
            job(&mut documents);
        }
    }
}

/// Runs `work` on a thread. A panic is this document's failure, not the thread's end.
async fn call<T: Send + 'static>(
    jobs: &mpsc::Sender<Job>,
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
    jobs.send(Box::new(job)).await.map_err(|_| gone())?;
    answered.await.map_err(|_| gone())?
}

fn panicked(panic: &(dyn Any + Send)) -> String {
    format!("decoding it panicked: {}", panic_message(panic))
}

/// Where a rendered page goes, and one that cannot be.
#[derive(Clone)]
pub(crate) struct Out {
    pub(crate) to_read: mpsc::Sender<InFlight<PageImage>>,
    pub(crate) to_complete: mpsc::Sender<InFlight<End>>,
}

/// Renders pages as far ahead of the engines as their pixels may be in hand, several at once where many are. They leave in
/// the order in which they are done.
pub(crate) async fn run(
    renderer: Renderer,
    page_limit: Duration,
    in_hand: InHand,
    mut pages: mpsc::Receiver<InFlight<PathBuf>>,
    out: Out,
    completer: &Completer,
) -> anyhow::Result<()> {
    let at_once = (in_hand.pages / IN_HAND_FOR_ONE).clamp(1, processors() as u32) as usize;
    let pixels = Arc::new(Semaphore::new(in_hand.pixels as usize));
    let mut rendering = JoinSet::new();
    let mut open = true;
    while open || !rendering.is_empty() {
        tokio::select! {
            Some(ended) = rendering.join_next() => ended??,
            page = pages.recv(), if open && rendering.len() < at_once => match page {
                Some(page) => {
                    let (renderer, out, completer) = (renderer.clone(), out.clone(), completer.clone());
                    let room = Room { pixels: Arc::clone(&pixels), most: in_hand.pixels };
                    rendering.spawn(async move { render(&renderer, page_limit, &room, page, &out, &completer).await });
                }
                None => open = false,
            },
        }
    }
    Ok(())
}

/// What rendered pages may take, in pixels.
struct Room {
    pixels: Arc<Semaphore>,
    most: u32,
}

async fn render(
    renderer: &Renderer,
    page_limit: Duration,
    room: &Room,
    page: InFlight<PathBuf>,
    out: &Out,
    completer: &Completer,
) -> anyhow::Result<()> {
    let (file, mut page) = page.split();
    let Ok(page_image) = timeout(page_limit, renderer.page(file, page.message.page.page)).await else {
        let id = page.message.page;
        error!(task.id = %id.task_id, page.no = id.page, trace.id = page.trace_id(), "rendering does not come back");
        completer.give_up(page, "rendering", page_limit).await;
        bail!("rendering did not come back within {} s", page_limit.as_secs());
    };
    match page_image {
        Ok(image) => {
            let share = cost(&image).min(u64::from(room.most)) as u32;
            let permit = Arc::clone(&room.pixels).acquire_many_owned(share).await;
            page.pixels = Some(permit.context("the semaphore is never closed")?);
            out.to_read.send(page.with(image)).await.ok().context("reading has ended")
        }
        Err(failure) => out.to_complete.send(page.with(failure.into())).await.ok().context("completing has ended"),
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc::channel, time::Instant};

    use quire_document::Limits;

    use super::*;

    fn none() -> Documents {
        Documents::new(None, Limits::default())
    }

    /// Has so many jobs meet: each is only done when all are under way.
    async fn meet(renderer: &Renderer, count: usize) {
        let (arrived, arrivals) = channel();
        let (leave, leaving) = tokio::sync::watch::channel(false);
        let mut jobs = JoinSet::new();
        for _ in 0..count {
            let (decoders, arrived, leaving) = (renderer.decoders.clone(), arrived.clone(), leaving.clone());
            jobs.spawn(async move {
                let busy = decoders.hire();
                let work = move |_: &mut Documents| {
                    let _busy = busy;
                    arrived.send(()).expect("the test waits");
                    while !*leaving.borrow() {
                        thread::sleep(Duration::from_millis(1));
                    }
                    Ok(())
                };
                call(&decoders.jobs, FailureCode::UnreadablePage, work).await
            });
        }
        let all = move || (0..count).all(|_| arrivals.recv_timeout(Duration::from_secs(20)).is_ok());
        assert!(tokio::task::spawn_blocking(all).await.expect("no panic"), "{count} are under way at once");
        leave.send(true).expect("jobs wait");
        while let Some(done) = jobs.join_next().await {
            done.expect("no panic").expect("done");
        }
    }

    #[tokio::test]
    async fn pictures_are_decoded_on_all_processors_and_threads_are_kept() {
        let renderer = Renderer::start(none).expect("threads");
        let threads = || renderer.decoders.crew.threads.load(Ordering::SeqCst);
        assert_eq!(threads(), 1, "one is enough for one at a time");
        meet(&renderer, 1).await;
        assert_eq!(threads(), 1);
        for _ in 0..3 {
            meet(&renderer, processors()).await;
            assert_eq!(threads(), processors());
        }
    }

    #[tokio::test]
    async fn one_that_hangs_holds_up_no_other() {
        let renderer = Renderer::start(none).expect("threads");
        let hang = renderer.decoders.hire();
        let (release, released) = oneshot::channel::<()>();
        let work = move |_: &mut Documents| {
            let _busy = hang;
            let _ = released.blocking_recv();
            Ok(())
        };
        let jobs = renderer.decoders.jobs.clone();
        let hanging = tokio::spawn(async move { call(&jobs, FailureCode::UnreadablePage, work).await });
        if processors() > 1 {
            let started = Instant::now();
            let missing = timeout(Duration::from_secs(20), renderer.page(PathBuf::from("/nowhere"), 1)).await;
            assert!(missing.is_ok_and(|page| page.is_err()), "after {:?}", started.elapsed());
        }
        drop(release);
        hanging.await.expect("no panic").expect("it ends");
    }

    #[tokio::test]
    async fn a_panic_is_one_documents_failure_and_its_thread_goes_on() {
        let renderer = Renderer::start(none).expect("threads");
        for _ in 0..3 {
            let busy = renderer.decoders.hire();
            let work = move |_: &mut Documents| -> Result<(), Failure> {
                let _busy = busy;
                panic!("a bad header")
            };
            let failed = call(&renderer.decoders.jobs, FailureCode::UnreadablePage, work).await.expect_err("it panics");
            assert!(failed.message.contains("a bad header"), "{failed:?}");
        }
        assert_eq!(renderer.decoders.crew.jobs.load(Ordering::SeqCst), 0);
        meet(&renderer, 1).await;
    }
}
