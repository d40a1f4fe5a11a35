//! Inspects documents in a child process.

use std::{
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::Duration,
};

use async_trait::async_trait;
use quire_document::{DocumentLimits, Documents};
use quire_tasks::{DocumentFormat, Failure, FailureCode, SplitDocument};
use tokio::process::Command;
use tracing::error;

use crate::documents::{child_page_images::ChildPageImages, inspector::Inspector, page_images::PageImages};

/// The default timeout for rendering a page, which takes a second or two even for a complex page.
const RENDER_TIMEOUT: Duration = Duration::from_secs(30);

/// The child's side, for a program that was started with `inspect FILE`: prints the result as JSON, `{"Ok": …}` or
/// `{"Err": …}`. `pdfium` is the path of the `PDFium` library, or why it is missing.
pub fn inspect_as_child(pdfium: Result<PathBuf, Failure>, file: &Path) -> ExitCode {
    let inspected = pdfium.and_then(|pdfium| Documents::new(Some(pdfium), DocumentLimits::default()).inspect(file));
    match serde_json::to_writer(std::io::stdout(), &inspected) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The parent's side. Images are inspected in this process, because safe code parses their headers; PDFs in a child,
/// because their parser is native code. A PDF that crashes the child is refused, without any other effect.
#[derive(Debug)]
pub struct ChildInspector {
    program: PathBuf,
    limits: DocumentLimits,
    render_timeout: Duration,
}

impl ChildInspector {
    /// Returns an inspector that runs `program`, which must call [`inspect_as_child`] for the arguments `inspect FILE`
    /// and [`crate::render_as_child`] for `picture FILE`.
    pub const fn new(program: PathBuf, limits: DocumentLimits) -> Self {
        Self { program, limits, render_timeout: RENDER_TIMEOUT }
    }

    /// Sets the timeout for rendering a page. Default: 30 seconds.
    #[must_use]
    pub fn with_render_timeout(self, render_timeout: Duration) -> Self {
        Self { render_timeout, ..self }
    }

    /// Inspects an image. Returns `None` for a PDF.
    async fn inspect_image(&self, file: &Path) -> Option<Result<SplitDocument, Failure>> {
        let limits = self.limits;
        let file = file.to_owned();
        let inspect = move || {
            let is_pdf = quire_document::sniff_file(&file).is_ok_and(|format| format == Some(DocumentFormat::Pdf));
            if is_pdf { None } else { Some(Documents::new(None, limits).inspect(&file)) }
        };
        tokio::task::spawn_blocking(inspect).await.unwrap_or_else(|_panic| {
            Some(Err(Failure::new(FailureCode::UnreadableDocument, "The validation of the document crashed.")))
        })
    }

    async fn inspect_in_child(&self, file: &Path) -> Result<SplitDocument, Failure> {
        let child = Command::new(&self.program)
            .arg("inspect")
            .arg(file)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| {
                error!(%error, "cannot start a child process to inspect a document");
                Failure::new(FailureCode::Internal, "The document could not be validated.")
            })?;
        serde_json::from_slice(&child.stdout).unwrap_or_else(|_| {
            error!(status = %child.status, "the child process that inspects a document crashed");
            Err(Failure::new(FailureCode::UnreadableDocument, "The document cannot be opened: its parser crashed."))
        })
    }
}

#[async_trait]
impl Inspector for ChildInspector {
    async fn inspect(&self, file: &Path) -> Result<SplitDocument, Failure> {
        match self.inspect_image(file).await {
            Some(inspected) => inspected,
            None => self.inspect_in_child(file).await,
        }
    }

    fn page_images(&self, file: &Path) -> Option<Box<dyn PageImages>> {
        Some(Box::new(ChildPageImages::new(self.program.clone(), file.to_owned(), self.render_timeout)))
    }
}
