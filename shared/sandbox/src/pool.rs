//! The children of this process: which are working, which keep a document open, and which are prepared.

use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use quire_document::{DocumentLimits, PageImage, SNIFF_BYTES, sniff};
use quire_tasks::{DocumentFormat, Failure, FailureCode, SplitDocument};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::JoinHandle,
    time::sleep,
};
use tracing::warn;

pub use crate::process::SandboxProgram;
use crate::{
    error::SandboxError,
    fonts,
    large_child::{LARGE, LargeChildLock},
    limits::SandboxLimits,
    lockdown::Lockdown,
    probe::ProbeReport,
    process::SandboxProcess,
    protocol::{Request, Response, Setup, cleaned},
    small_image,
    verdict::{Step, StepLimits},
};

/// A child that keeps its document open, and gets no request, is ended after this time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// The resolution of an image in pixels per inch: its metadata is mostly wrong, and scans typically have this one.
const IMAGE_DPI: f32 = 200.0;
/// The number of attempts if children are killed from outside or cannot be started.
const MAX_ATTEMPTS: u32 = 3;
/// The delay before the second attempt; twice as long before the third.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// Inspects documents and renders their pages in child processes. Cheap to clone; clones share the children, which end
/// when the last one is dropped.
///
/// Dropping a call's future ends the child that works for it.
#[derive(Debug, Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    program: SandboxProgram,
    pdfium: Option<PathBuf>,
    font_folders: Vec<PathBuf>,
    documents: DocumentLimits,
    limits: SandboxLimits,
    large: LargeChildLock,
    /// One permit per working child.
    slots: Semaphore,
    /// Children with an open document; the one that was used last is at the end.
    idle: Mutex<Vec<IdleChild>>,
    /// The child for the next document: its start takes longer than most pages.
    prepared: Mutex<Option<JoinHandle<Result<SandboxProcess, SandboxError>>>>,
    has_warned: AtomicBool,
}

#[derive(Debug)]
struct IdleChild {
    document: DocumentKey,
    process: SandboxProcess,
    since: Instant,
}

/// Identifies the content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DocumentKey {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

/// A document's file, opened by this process.
#[derive(Debug)]
struct DocumentFile {
    file: File,
    key: DocumentKey,
    format: DocumentFormat,
}

/// The image of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedPage {
    /// The pixels.
    pub image: PageImage,
    /// The resolution in pixels per inch.
    pub dpi: f32,
}

impl Sandbox {
    /// Returns a sandbox whose children run `program` and bind `pdfium`. No child is started yet.
    pub fn new(
        program: SandboxProgram,
        pdfium: Option<PathBuf>,
        documents: DocumentLimits,
        limits: SandboxLimits,
    ) -> Self {
        Self::with_lock(program, pdfium, documents, limits, LargeChildLock(None))
    }

    /// Returns a sandbox, of whose children, and those of all other processes with the same lock file, at most one uses
    /// more than 128 MB at a time; others wait for their turn. The file is created if it does not exist.
    pub fn sharing_memory(
        program: SandboxProgram,
        pdfium: Option<PathBuf>,
        documents: DocumentLimits,
        limits: SandboxLimits,
        lock_file: PathBuf,
    ) -> Self {
        Self::with_lock(program, pdfium, documents, limits, LargeChildLock(Some(lock_file)))
    }

    fn with_lock(
        program: SandboxProgram,
        pdfium: Option<PathBuf>,
        documents: DocumentLimits,
        limits: SandboxLimits,
        large: LargeChildLock,
    ) -> Self {
        let slots = Semaphore::new(limits.children);
        let (idle, prepared, has_warned) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        let font_folders = fonts::system_folders();
        Self {
            shared: Arc::new(Shared {
                program,
                pdfium,
                font_folders,
                documents,
                limits,
                large,
                slots,
                idle,
                prepared,
                has_warned,
            }),
        }
    }

    /// Returns the sandbox with other folders of fonts than those of the system: see
    /// [`font_folders_from_env`](crate::font_folders_from_env).
    ///
    /// # Panics
    /// Panics if the sandbox has been cloned.
    #[must_use]
    pub fn with_fonts(mut self, folders: Vec<PathBuf>) -> Self {
        Arc::get_mut(&mut self.shared).expect("a new sandbox has no clones").font_folders = folders;
        self
    }

    /// Returns the format and the number of pages of a document, without rendering any.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub async fn inspect(&self, file: &Path) -> Result<SplitDocument, SandboxError> {
        let document = DocumentFile::open(file)?;
        let time = self.shared.limits.inspection;
        let request = Request::Inspect { cpu_secs: time.as_secs() };
        match self.step(&document, Step::Inspection, &request, time).await? {
            (Response::Inspected(split), _) if split.pages > 0 && split.pages <= self.shared.documents.max_pages => {
                Ok(split)
            }
            _ => Err(implausible(FailureCode::UnreadableDocument)),
        }
    }

    /// Returns the limits of a child.
    pub(crate) fn limits(&self) -> SandboxLimits {
        self.shared.limits
    }

    /// Renders a page, counted from 1.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub async fn page(&self, file: &Path, page: u32) -> Result<RenderedPage, SandboxError> {
        self.render(file, page, false).await
    }

    /// As [`Sandbox::page`], with the text layer of a PDF's page.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub async fn page_with_text_layer(&self, file: &Path, page: u32) -> Result<RenderedPage, SandboxError> {
        self.render(file, page, true).await
    }

    async fn render(&self, file: &Path, page: u32, text_layer: bool) -> Result<RenderedPage, SandboxError> {
        let document = DocumentFile::open(file)?;
        let time = self.shared.limits.page;
        if let Some(decoded) = self.small_image(&document, page).await? {
            return decoded.map(|image| RenderedPage { image, dpi: IMAGE_DPI }).map_err(SandboxError::Document);
        }
        let request = Request::Page { page, text_layer, cpu_secs: time.as_secs() };
        match self.step(&document, Step::Page(page), &request, time).await? {
            // The length of the payload was checked when it was received.
            (Response::Page(head), payload) => {
                let dpi = head.dpi;
                Ok(RenderedPage { image: head.into_image(payload), dpi })
            }
            _ => Err(implausible(FailureCode::UnreadablePage)),
        }
    }

    /// Asks a child for a value and other bytes.
    pub(crate) async fn data<T: DeserializeOwned>(
        &self,
        file: &Path,
        step: Step,
        request: &Request,
        time: Duration,
    ) -> Result<(T, Vec<u8>), SandboxError> {
        let document = DocumentFile::open(file)?;
        let (Response::Data { json, .. }, mut data) = self.step(&document, step, request, time).await? else {
            return Err(implausible(FailureCode::UnreadableDocument));
        };
        // The length of both was checked when they were received.
        let other = data.split_off((json as usize).min(data.len()));
        let value = serde_json::from_slice(&data).map_err(|_| implausible(FailureCode::UnreadableDocument))?;
        Ok((value, other))
    }

    /// Starts a child and lets it try what a hostile document must not be able to do; `file` is an existing file in a
    /// writable folder.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub async fn probe(&self, file: &Path) -> Result<(Lockdown, ProbeReport), SandboxError> {
        let mut process = self.shared.start().await?;
        let limits = StepLimits { time: self.shared.limits.inspection, memory: self.shared.limits.memory };
        let request = Request::Probe { file: file.to_owned() };
        match process.step(Step::Inspection, &request, limits).await? {
            (Response::Probed(report), _) => Ok((process.lockdown.clone(), report)),
            _ => Err(implausible(FailureCode::UnreadableDocument)),
        }
    }

    /// Decodes a small image in this process; returns `None` for any other document.
    async fn small_image(
        &self,
        document: &DocumentFile,
        page: u32,
    ) -> Result<Option<Result<PageImage, Failure>>, SandboxError> {
        let Shared { documents, limits, .. } = &*self.shared;
        let _slot = self.slot().await?;
        Ok(small_image::page(&document.file, document.format, page, *documents, limits.page).await)
    }

    /// Waits until fewer than the limit of pages are being processed.
    async fn slot(&self) -> Result<SemaphorePermit<'_>, SandboxError> {
        let slot = self.shared.slots.acquire().await;
        slot.map_err(|_| SandboxError::infrastructure("the sandbox is closed"))
    }

    /// Asks a child for the document; retries if it was killed from outside.
    async fn step(
        &self,
        document: &DocumentFile,
        step: Step,
        request: &Request,
        time: Duration,
    ) -> Result<(Response, Vec<u8>), SandboxError> {
        let shared = &self.shared;
        let _slot = self.slot().await?;
        let pixels = SandboxLimits::pixel_bytes(document.format, &shared.documents);
        let limits = StepLimits { time, memory: shared.limits.memory + pixels };
        let mut attempt = 1;
        loop {
            let started = Instant::now();
            match shared.try_step(document, step, request, limits).await {
                Err(SandboxError::Infrastructure { reason, is_suspect: false })
                    if attempt < MAX_ATTEMPTS && started.elapsed() < time =>
                {
                    warn!(reason, attempt, "a child process that parses a document failed; retrying");
                    sleep(RETRY_DELAY * attempt).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }
}

impl Shared {
    async fn try_step(
        self: &Arc<Self>,
        document: &DocumentFile,
        step: Step,
        request: &Request,
        limits: StepLimits,
    ) -> Result<(Response, Vec<u8>), SandboxError> {
        let mut process = if let Some(process) = self.take_idle(document.key) {
            process
        } else {
            let mut process = self.take_prepared().await?;
            process.open(&document.file).await?;
            process
        };
        let answer = process.step(step, request, limits).await?;
        self.keep(document.key, process);
        match answer {
            // Our own disk, or so the child says: bounded by attempts, for it may lie.
            (Response::Failed(Failure { code: FailureCode::Internal, message }), _) => {
                Err(SandboxError::Infrastructure { reason: message, is_suspect: true })
            }
            (Response::Failed(failure), _) => Err(SandboxError::Document(cleaned(&failure))),
            answer => Ok(answer),
        }
    }

    async fn start(&self) -> Result<SandboxProcess, SandboxError> {
        let setup = Setup::new(
            self.pdfium.clone(),
            self.font_folders.clone(),
            self.limits.memory + SandboxLimits::pixel_bytes(DocumentFormat::Png, &self.documents),
            &self.documents,
        );
        let process = SandboxProcess::start(&self.program, setup, self.large.clone()).await?;
        let missing = process.lockdown.missing();
        if !missing.is_empty() && !self.has_warned.swap(true, Ordering::Relaxed) {
            let missing = missing.join(", ");
            warn!(missing, "this platform lacks protections for parsing documents: see `quire doctor`");
        }
        Ok(process)
    }

    /// Returns the prepared child, and prepares the next one.
    async fn take_prepared(self: &Arc<Self>) -> Result<SandboxProcess, SandboxError> {
        let prepared = lock(&self.prepared).take();
        let process = match prepared {
            // A task that was aborted, or a child that could not be started then, may start now.
            Some(starting) => match starting.await {
                Ok(Ok(process)) => process,
                _ => self.start().await?,
            },
            None => self.start().await?,
        };
        let shared = Arc::clone(self);
        let mut prepared = lock(&self.prepared);
        if prepared.is_none() {
            *prepared = Some(tokio::spawn(async move { shared.start().await }));
        }
        Ok(process)
    }

    fn take_idle(&self, document: DocumentKey) -> Option<SandboxProcess> {
        let mut idle = lock(&self.idle);
        let found = idle.iter().rposition(|child| child.document == document)?;
        Some(idle.remove(found).process)
    }

    /// Keeps a child for the next page of its document.
    fn keep(self: &Arc<Self>, document: DocumentKey, process: SandboxProcess) {
        if process.steps >= self.limits.pages_per_child || process.memory() > LARGE {
            return;
        }
        let mut idle = lock(&self.idle);
        if idle.len() >= self.limits.children {
            idle.remove(0);
        }
        idle.push(IdleChild { document, process, since: Instant::now() });
        let shared = Arc::downgrade(self);
        tokio::spawn(async move {
            sleep(IDLE_TIMEOUT).await;
            if let Some(shared) = shared.upgrade() {
                lock(&shared.idle).retain(|child| child.since.elapsed() < IDLE_TIMEOUT);
            }
        });
    }
}

impl DocumentFile {
    /// Opens the file, and identifies its format for the limits only: the child does not rely on it.
    fn open(path: &Path) -> Result<Self, SandboxError> {
        let opened = || -> io::Result<Self> {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            let key = DocumentKey {
                device: metadata.dev(),
                inode: metadata.ino(),
                bytes: metadata.len(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
            };
            let mut head = [0; SNIFF_BYTES];
            let read = file.read_at(&mut head, 0)?;
            Ok(Self { file, key, format: sniff(&head[..read]).unwrap_or(DocumentFormat::Pdf) })
        };
        // Our own disk: the file was there when the page was received.
        opened().map_err(|error| SandboxError::infrastructure(format!("the document's file cannot be read: {error}")))
    }
}

/// A response that no honest child sends.
fn implausible(code: FailureCode) -> SandboxError {
    SandboxError::Document(Failure::new(code, "The document cannot be processed: its parser sent a wrong response."))
}

/// A poisoned lock is fine: the values are replaced as a whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
