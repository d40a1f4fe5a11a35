//! A buffer for a result of any size: in memory while it is small, and then in a spool file.

use std::{
    io,
    path::{Path, PathBuf},
};

use quire_platform::{Backend, Error, Result};
use tempfile::{NamedTempFile, TempPath};
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncWriteExt, BufWriter},
};

/// The bytes that are copied at a time.
const COPY_BYTES: usize = 64 << 10;

/// A result that is being composed.
#[derive(Debug)]
pub(crate) struct ResultBuffer {
    spool: PathBuf,
    max_in_memory: usize,
    memory: Vec<u8>,
    file: Option<(BufWriter<File>, TempPath)>,
    bytes: u64,
}

/// A complete result.
#[derive(Debug)]
pub(crate) enum ComposedResult {
    /// A small one, in memory.
    Bytes(Vec<u8>),
    /// A large one, in a file that is deleted on drop, with its size in bytes.
    File(TempPath, u64),
}

impl ResultBuffer {
    /// Returns an empty buffer that holds up to `max_in_memory` bytes in memory.
    pub(crate) fn new(backend: &Backend, max_in_memory: usize) -> Self {
        Self { spool: backend.objects.spool(), max_in_memory, memory: Vec::new(), file: None, bytes: 0 }
    }

    /// Appends text.
    pub(crate) async fn write(&mut self, text: &str) -> Result<()> {
        self.append_bytes(text.as_bytes()).await.map_err(|error| spool_error(&error))
    }

    /// Appends another result, in bounded memory.
    pub(crate) async fn append(&mut self, result: ComposedResult) -> Result<()> {
        let copied = match result {
            ComposedResult::Bytes(bytes) => self.append_bytes(&bytes).await,
            ComposedResult::File(path, _) => self.append_file(&path).await,
        };
        copied.map_err(|error| spool_error(&error))
    }

    /// Returns the complete result.
    pub(crate) async fn finish(self) -> Result<ComposedResult> {
        let Some((mut file, path)) = self.file else { return Ok(ComposedResult::Bytes(self.memory)) };
        file.flush().await.map_err(|error| spool_error(&error))?;
        Ok(ComposedResult::File(path, self.bytes))
    }

    async fn append_file(&mut self, path: &Path) -> io::Result<()> {
        let mut file = File::open(path).await?;
        let mut chunk = vec![0; COPY_BYTES];
        loop {
            let read = file.read(&mut chunk).await?;
            if read == 0 {
                return Ok(());
            }
            self.append_bytes(&chunk[..read]).await?;
        }
    }

    async fn append_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        if let Some((file, _)) = &mut self.file {
            return file.write_all(bytes).await;
        }
        if self.memory.len() + bytes.len() <= self.max_in_memory {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        let spool = self.spool.clone();
        let created = tokio::task::spawn_blocking(move || NamedTempFile::with_prefix_in("result-", spool));
        let (file, path) = created.await??.into_parts();
        let mut file = BufWriter::with_capacity(COPY_BYTES, File::from_std(file));
        file.write_all(&std::mem::take(&mut self.memory)).await?;
        file.write_all(bytes).await?;
        self.file = Some((file, path));
        Ok(())
    }
}

fn spool_error(error: &io::Error) -> Error {
    let what = "the spool";
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Error::Full { what },
        _ => Error::Failed { what, why: error.to_string() },
    }
}
