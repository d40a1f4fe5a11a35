//! Multipart forms: files are written to the spool while they arrive, and never held in memory.

use std::{future::Future, path::PathBuf};

use axum::extract::{
    FromRequest, Multipart, Request,
    multipart::{Field, MultipartError},
};
use quire_tasks::{Failure, FailureCode};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tempfile::TempPath;
use tokio::{fs::File, io::AsyncWriteExt, time::timeout};

use crate::{
    documents::validation::UploadedFile,
    http::{fields, problem::Problem},
    state::AppState,
    tasks::file_name::plain_name,
};

/// What a form may hold.
#[derive(Debug)]
pub(crate) struct FormSpec {
    /// The field of its files.
    pub(crate) files: &'static str,
    /// Another name that clients use for it.
    pub(crate) alias: Option<&'static str>,
    /// Its other fields.
    pub(crate) fields: &'static [&'static str],
}

/// A form that has arrived whole.
#[derive(Debug, Default)]
pub(crate) struct ReceivedForm {
    /// In the order sent.
    pub(crate) files: Vec<UploadedFile>,
    /// The SHA-256 of each file, where that was asked for.
    pub(crate) digests: Vec<[u8; 32]>,
    /// The other fields, as JSON would have them.
    pub(crate) fields: Map<String, Value>,
}

/// Receives a form with at least one and at most `max_files` files, whose bytes are hashed where they are to be known
/// again.
pub(crate) async fn receive(
    app: &AppState,
    request: Request,
    form: &FormSpec,
    max_files: usize,
    hashed: bool,
) -> Result<ReceivedForm, Problem> {
    let mut multipart = Multipart::from_request(request, &()).await?;
    let mut uploads = ReceivedForm::default();
    while let Some(field) = in_time(app, multipart.next_field()).await? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == form.files || form.alias == Some(&name) {
            if uploads.files.len() == max_files {
                return Err(Problem::too_many_files(&name, max_files));
            }
            let mut hash = hashed.then(Sha256::new);
            uploads.files.push(spool(app, field, hash.as_mut()).await?);
            uploads.digests.extend(hash.map(|hash| <[u8; 32]>::from(hash.finalize())));
        } else if form.fields.contains(&name.as_str()) {
            let text = short_text(app, &name, field).await?;
            fields::add(&mut uploads.fields, &name, text)?;
        } else {
            return Err(Problem::unknown_field(&name, &form.known()));
        }
    }
    if uploads.files.is_empty() { Err(Problem::missing_field(form.files)) } else { Ok(uploads) }
}

impl FormSpec {
    /// The names of all its fields.
    fn known(&self) -> String {
        let names: Vec<_> = [self.files].into_iter().chain(self.alias).chain(self.fields.iter().copied()).collect();
        names.join(", ")
    }
}

async fn spool(app: &AppState, mut field: Field<'_>, mut hash: Option<&mut Sha256>) -> Result<UploadedFile, Problem> {
    let name = field.file_name().map(plain_name).filter(|name| !name.is_empty());
    let (file, path) = new_file(app.backend.objects.spool()).await?;
    let mut file = File::from_std(file);
    let max_bytes = app.settings.limits.max_bytes;
    let mut bytes = 0;
    while let Some(chunk) = in_time(app, field.chunk()).await? {
        bytes += chunk.len() as u64;
        if let Some(hash) = &mut hash {
            hash.update(&chunk);
        }
        // The rest still has to be read, since the next file stands behind it.
        if bytes <= max_bytes {
            file.write_all(&chunk).await?;
        }
    }
    file.flush().await?;
    let too_large = || {
        let message = format!("The document has {bytes} bytes; at most {max_bytes} are taken.");
        Failure::new(FailureCode::DocumentTooLarge, message)
    };
    Ok(UploadedFile { name, file: if bytes > max_bytes { Err(too_large()) } else { Ok(path) } })
}

async fn new_file(spool: PathBuf) -> Result<(std::fs::File, TempPath), Problem> {
    let made = tokio::task::spawn_blocking(move || {
        tempfile::Builder::new().prefix("upload-").tempfile_in(spool).map(tempfile::NamedTempFile::into_parts)
    });
    Ok(made.await.map_err(|error| Problem::internal(&error))??)
}

/// A field that is no file: a text of a bounded length.
async fn short_text(app: &AppState, name: &str, mut field: Field<'_>) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = in_time(app, field.chunk()).await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > fields::most_bytes(name) {
            return Err(fields::too_long(name));
        }
    }
    String::from_utf8(bytes).map_err(|_| Problem::invalid_field(name, "The field is not UTF-8."))
}

async fn in_time<T>(app: &AppState, read: impl Future<Output = Result<T, MultipartError>>) -> Result<T, Problem> {
    let read = timeout(app.settings.idle_limit, read).await.map_err(|_| Problem::upload_stalled())?;
    read.map_err(|error| Problem::multipart(&error, || app.too_large()))
}
