//! Responses with a composed result: bytes, or a file that is streamed.

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use crate::{http::problem::Problem, tasks::result_buffer::ComposedResult};

/// The maximum size of a response in memory; a larger one is streamed from a spool file.
pub(crate) const MAX_BODY_IN_MEMORY: usize = 1 << 20;

/// Returns a JSON response.
pub(crate) async fn json_response(composed: ComposedResult) -> Result<Response, Problem> {
    let mut response = match composed {
        ComposedResult::Bytes(bytes) => Body::from(bytes).into_response(),
        ComposedResult::File(path, bytes) => {
            let mut response = stream_file(open_file(&path).await?);
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
            response
        }
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Returns a response that streams a file.
pub(crate) fn stream_file(open: File) -> Response {
    Body::from_stream(ReaderStream::new(open)).into_response()
}

/// Opens a file. An open file stays readable even if it is deleted.
pub(crate) async fn open_file(path: &std::path::Path) -> Result<File, Problem> {
    File::open(path).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Problem::task_not_found(),
        _ => Problem::internal(&error),
    })
}
