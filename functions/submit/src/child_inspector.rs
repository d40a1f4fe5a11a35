//! The check of a document in a process of its own.

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

use crate::{Inspector, Pictures, child_pictures::ChildPictures};

/// How long a page's picture may take: a second or two, even of a bad page. One that is made to take longer is not shown.
const PICTURE_LIMIT: Duration = Duration::from_secs(30);

/// The child's side, for a program that was started with `inspect FILE`: prints what the check found as JSON,
/// `{"Ok": …}` or `{"Err": …}`. `pdfium` is the library, or why there is none.
pub fn inspect_as_child(pdfium: Result<PathBuf, Failure>, file: &Path) -> ExitCode {
    let found = pdfium.and_then(|pdfium| Documents::new(Some(pdfium), DocumentLimits::default()).inspect(file));
    match serde_json::to_writer(std::io::stdout(), &found) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The parent's side: images are checked here, since their headers are read by safe code; a PDF by a child, since what
/// opens it is native. A PDF that kills the child is refused, and nothing else happens.
#[derive(Debug)]
pub struct ChildInspector {
    program: PathBuf,
    limits: DocumentLimits,
    picture_limit: Duration,
}

impl ChildInspector {
    /// Checks with `program`, which must do [`inspect_as_child`] when it is started with `inspect FILE`, and
    /// [`crate::picture_as_child`] when it is started with `picture FILE`.
    pub const fn new(program: PathBuf, limits: DocumentLimits) -> Self {
        Self { program, limits, picture_limit: PICTURE_LIMIT }
    }

    /// The same, giving up a page's picture after so long.
    #[must_use]
    pub fn picture_limit(self, picture_limit: Duration) -> Self {
        Self { picture_limit, ..self }
    }

    /// `None` for a PDF.
    async fn inspect_image(&self, file: &Path) -> Option<Result<SplitDocument, Failure>> {
        let (limits, file) = (self.limits, file.to_owned());
        let check = move || {
            let is_pdf = quire_document::sniff_file(&file).is_ok_and(|format| format == Some(DocumentFormat::Pdf));
            (!is_pdf).then(|| Documents::new(None, limits).inspect(&file))
        };
        let broke_off = |_| Some(Err(Failure::new(FailureCode::UnreadableDocument, "The document's check broke off.")));
        tokio::task::spawn_blocking(check).await.unwrap_or_else(broke_off)
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
                error!(%error, "no process could be started to check a document");
                Failure::new(FailureCode::Internal, "The document could not be checked.")
            })?;
        serde_json::from_slice(&child.stdout).unwrap_or_else(|_| {
            error!(status = %child.status, "the check of a document died");
            Err(Failure::new(FailureCode::UnreadableDocument, "The document cannot be opened: what reads it crashed."))
        })
    }
}

#[async_trait]
impl Inspector for ChildInspector {
    async fn inspect(&self, file: &Path) -> Result<SplitDocument, Failure> {
        match self.inspect_image(file).await {
            Some(found) => found,
            None => self.inspect_in_child(file).await,
        }
    }

    fn pictures(&self, file: &Path) -> Option<Box<dyn Pictures>> {
        Some(Box::new(ChildPictures::new(self.program.clone(), file.to_owned(), self.picture_limit)))
    }
}
