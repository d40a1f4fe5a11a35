//! Multipart forms. Files are streamed to the spool and never held in memory.

use std::path::PathBuf;

use axum::extract::{
    FromRequest, Multipart, Request,
    multipart::{Field, MultipartError},
};
use quire_tasks::{Failure, FailureCode};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tempfile::TempPath;
use tokio::{fs::File, io::AsyncWriteExt};

use crate::{
    documents::validation::UploadedFile,
    http::{
        fields,
        part_limits::{HeaderBudget, limit_parts},
        problem::Problem,
    },
    limits::MAX_FORM_FIELDS,
    state::AppState,
    tasks::file_name::sanitize_file_name,
};

/// The fields that a form may have.
#[derive(Debug)]
pub(crate) struct FormSpec {
    /// The name of the file field.
    pub(crate) files: &'static str,
    /// An alternative name of the file field.
    pub(crate) alias: Option<&'static str>,
    /// The names of the other fields.
    pub(crate) fields: &'static [&'static str],
}

/// A form that was received completely.
#[derive(Debug, Default)]
pub(crate) struct ReceivedForm {
    /// In the order sent.
    pub(crate) files: Vec<UploadedFile>,
    /// The SHA-256 of each file, if requested.
    pub(crate) digests: Vec<[u8; 32]>,
    /// The other fields as JSON values.
    pub(crate) fields: Map<String, Value>,
}

/// Receives a form with 1 to `max_files` files. With `hashed`, computes the digest of each file for the request's
/// fingerprint.
pub(crate) async fn receive(
    app: &AppState,
    request: Request,
    form: &FormSpec,
    max_files: usize,
    hashed: bool,
) -> Result<ReceivedForm, Problem> {
    let (parts, body) = request.into_parts();
    let (body, budget) = limit_parts(body);
    let mut multipart = Multipart::from_request(Request::from_parts(parts, body), &()).await?;
    let mut received = ReceivedForm::default();
    let mut number_of_parts = 0;
    while let Some(field) = next_field(app, &mut multipart, &budget).await? {
        number_of_parts += 1;
        if number_of_parts > max_files + MAX_FORM_FIELDS {
            return Err(Problem::too_many_parts(max_files + MAX_FORM_FIELDS));
        }
        let name = field.name().unwrap_or_default().to_owned();
        if name == form.files || form.alias == Some(&name) {
            if received.files.len() == max_files {
                return Err(Problem::too_many_files(&name, max_files));
            }
            let mut hash = hashed.then(Sha256::new);
            received.files.push(spool(app, field, hash.as_mut()).await?);
            received.digests.extend(hash.map(|hash| <[u8; 32]>::from(hash.finalize())));
        } else if form.fields.contains(&name.as_str()) {
            let text = read_text(app, &name, field).await?;
            fields::add(&mut received.fields, &name, text)?;
        } else {
            return Err(Problem::unknown_field(&name, &form.field_names()));
        }
    }
    if received.files.is_empty() { Err(Problem::missing_field(form.files)) } else { Ok(received) }
}

/// Reads the headers of the next part.
async fn next_field<'a>(
    app: &AppState,
    multipart: &'a mut Multipart,
    budget: &HeaderBudget,
) -> Result<Option<Field<'a>>, Problem> {
    budget.begin_headers();
    let field = multipart.next_field().await.map_err(|error| read_problem(app, &error));
    budget.begin_content();
    field
}

impl FormSpec {
    /// Returns the names of all fields, for error messages.
    fn field_names(&self) -> String {
        let names: Vec<_> = [self.files].into_iter().chain(self.alias).chain(self.fields.iter().copied()).collect();
        names.join(", ")
    }
}

async fn spool(app: &AppState, mut field: Field<'_>, mut hash: Option<&mut Sha256>) -> Result<UploadedFile, Problem> {
    let name = field.file_name().map(sanitize_file_name).filter(|name| !name.is_empty());
    let (file, path) = create_spool_file(app.backend.objects.spool()).await?;
    let mut file = File::from_std(file);
    let max_bytes = app.settings.limits.max_bytes;
    let mut bytes = 0;
    while let Some(chunk) = field.chunk().await.map_err(|error| read_problem(app, &error))? {
        bytes += chunk.len() as u64;
        if let Some(hash) = &mut hash {
            hash.update(&chunk);
        }
        // The rest of a file that is too large must be read as well, because the next file follows it.
        if bytes <= max_bytes {
            file.write_all(&chunk).await?;
        }
    }
    file.flush().await?;
    if bytes <= max_bytes {
        return Ok(UploadedFile { name, file: Ok(path) });
    }
    let message = format!("The document has {bytes} bytes; the maximum is {max_bytes}.");
    Ok(UploadedFile { name, file: Err(Failure::new(FailureCode::DocumentTooLarge, message)) })
}

/// Creates a file in the spool that is deleted when its path is dropped.
async fn create_spool_file(spool: PathBuf) -> Result<(std::fs::File, TempPath), Problem> {
    let created = tokio::task::spawn_blocking(move || {
        tempfile::Builder::new().prefix("upload-").tempfile_in(spool).map(tempfile::NamedTempFile::into_parts)
    });
    Ok(created.await.map_err(|error| Problem::internal(&error))??)
}

/// Reads a text field of bounded length.
async fn read_text(app: &AppState, name: &str, mut field: Field<'_>) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| read_problem(app, &error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > fields::max_bytes(name) {
            return Err(fields::too_long(name));
        }
    }
    String::from_utf8(bytes).map_err(|_| Problem::invalid_field(name, "Must be UTF-8."))
}

fn read_problem(app: &AppState, error: &MultipartError) -> Problem {
    Problem::multipart(error, || app.too_large())
}
