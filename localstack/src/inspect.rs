//! The check of a document in a process of its own.

use std::{
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
};

use async_trait::async_trait;
use quire_document::{Documents, Limits};
use quire_natives::Progress;
use quire_submit::Inspector;
use quire_tasks::{Failure, FailureCode, Format, Split};
use tokio::process::Command;
use tracing::error;

use crate::cli;

/// The child's side: prints what the check found as JSON, `{"Ok": …}` or `{"Err": …}`.
pub(crate) fn inspect(args: &cli::Inspect) -> ExitCode {
    let found = quire_natives::pdfium(&Progress::Silent)
        .map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))
        .and_then(|pdfium| Documents::new(Some(pdfium), Limits::default()).inspect(&args.file));
    match serde_json::to_writer(std::io::stdout(), &found) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The parent's side: images are checked here, since their headers are read by safe code; a PDF by a child, since what
/// opens it is native. A PDF that kills the child is refused, and nothing else happens.
#[derive(Debug)]
pub(crate) struct ChildInspector {
    pub(crate) program: PathBuf,
    pub(crate) limits: Limits,
}

#[async_trait]
impl Inspector for ChildInspector {
    async fn inspect(&self, file: &Path) -> Result<Split, Failure> {
        match self.inspect_image(file).await {
            Some(found) => found,
            None => self.inspect_in_child(file).await,
        }
    }
}

impl ChildInspector {
    /// `None` for a PDF.
    async fn inspect_image(&self, file: &Path) -> Option<Result<Split, Failure>> {
        let (limits, file) = (self.limits, file.to_owned());
        let check = move || {
            let is_pdf = quire_document::sniff_file(&file).is_ok_and(|format| format == Some(Format::Pdf));
            (!is_pdf).then(|| Documents::new(None, limits).inspect(&file))
        };
        let broke_off = |_| Some(Err(Failure::new(FailureCode::UnreadableDocument, "The document's check broke off.")));
        tokio::task::spawn_blocking(check).await.unwrap_or_else(broke_off)
    }

    async fn inspect_in_child(&self, file: &Path) -> Result<Split, Failure> {
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
