//! A result while it is written: in memory as long as it is short.

use std::{io, path::PathBuf};

use quire_platform::{Backend, Error};
use tempfile::{NamedTempFile, TempPath};
use tokio::{fs::File, io::AsyncWriteExt};

/// What is written: in memory, and from a certain size on in a file.
#[derive(Debug)]
pub(crate) struct ResultBuffer {
    spool: PathBuf,
    most: usize,
    head: Vec<u8>,
    rest: Option<(File, TempPath)>,
    bytes: u64,
}

/// A whole result.
#[derive(Debug)]
pub(crate) enum ComposedResult {
    /// A short one.
    Bytes(Vec<u8>),
    /// A long one, deleted when it is dropped.
    File(TempPath, u64),
}

impl ResultBuffer {
    pub(crate) fn new(backend: &Backend, most: usize) -> Self {
        Self { spool: backend.objects.spool(), most, head: Vec::new(), rest: None, bytes: 0 }
    }

    pub(crate) async fn write(&mut self, text: &str) -> io::Result<()> {
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

    pub(crate) async fn end(self) -> io::Result<ComposedResult> {
        let Some((mut file, path)) = self.rest else { return Ok(ComposedResult::Bytes(self.head)) };
        file.flush().await?;
        Ok(ComposedResult::File(path, self.bytes))
    }
}

pub(crate) fn spool_failure(error: &io::Error) -> Error {
    let what = "the spool";
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Error::Full { what },
        _ => Error::Failed { what, why: error.to_string() },
    }
}
