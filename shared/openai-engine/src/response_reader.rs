//! Reads the body of a response, limited in bytes and time.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Response, header::CONTENT_TYPE};
use tokio::time::{Instant, timeout_at};

use crate::{
    ResponseFlaw,
    completion::{ChatCompletion, CompletionError},
    sse::EventParser,
};

/// The most bytes per token. The chunk of a token in an event stream, with field names and probability, has about 400
/// bytes.
const BYTES_PER_TOKEN: usize = 2 * 1024;
/// The most bytes of everything else in a response.
const OVERHEAD_BYTES: usize = 64 * 1024;
/// The read timeout between chunks after the first one. Even a busy server generates tokens continuously.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(30);
/// The read timeout after the end of the completion, where the rest is read only to reuse the connection.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a response could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ResponseError {
    /// No text was received before the timeout.
    Silent,
    /// It is invalid.
    Invalid(ResponseFlaw),
    /// The server reported an error with this status.
    Status { status: u16, data: String },
}

/// Returns the most bytes of a response with up to this number of tokens.
pub(crate) const fn max_bytes(tokens: u32) -> usize {
    OVERHEAD_BYTES + BYTES_PER_TOKEN * tokens as usize
}

/// Reads a completion, streamed or whole. Stops at a repetition, which closes the connection, so that the server stops
/// too.
pub(crate) async fn read_completion(
    response: Response,
    max_bytes: usize,
    deadline: Instant,
) -> Result<ChatCompletion, ResponseError> {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let mut body = ResponseBody { response, bytes_left: max_bytes, deadline };
    match kind.as_str() {
        "text/event-stream" => read_stream(&mut body).await,
        "application/json" => read_whole(&mut body).await,
        _ => Err(ResponseError::Invalid(ResponseFlaw::ContentType)),
    }
}

async fn read_stream(body: &mut ResponseBody) -> Result<ChatCompletion, ResponseError> {
    let mut events = EventParser::default();
    let mut completion = ChatCompletion::default();
    while completion.end() != Some(quire_ocr::StopReason::Repetition) {
        let bytes = match body.next(&completion).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => break,
            // An error after the end of the completion does not matter.
            Err(_) if completion.end().is_some() => return Ok(completion),
            Err(error) => return Err(error),
        };
        for data in events.push(&bytes) {
            append(&mut completion, &data)?;
        }
    }
    if completion.end().is_none()
        && let Some(data) = events.finish()
    {
        // If the last event is not valid, it is not only its empty line that is missing: the stream is truncated.
        append(&mut completion, &data).map_err(|stopped| match stopped {
            ResponseError::Invalid(ResponseFlaw::Format) => ResponseError::Invalid(ResponseFlaw::Truncated),
            other => other,
        })?;
    }
    if completion.end().is_none() { Err(ResponseError::Invalid(ResponseFlaw::Truncated)) } else { Ok(completion) }
}

/// Reads a completion of a server that does not support streaming.
async fn read_whole(body: &mut ResponseBody) -> Result<ChatCompletion, ResponseError> {
    let mut completion = ChatCompletion::default();
    let mut json = Vec::new();
    while let Some(bytes) = body.next(&completion).await? {
        json.extend_from_slice(&bytes);
    }
    let json = String::from_utf8(json).map_err(|_| ResponseError::Invalid(ResponseFlaw::Format))?;
    append(&mut completion, &json)?;
    completion.finish();
    if completion.end().is_none() { Err(ResponseError::Invalid(ResponseFlaw::Format)) } else { Ok(completion) }
}

fn append(completion: &mut ChatCompletion, data: &str) -> Result<(), ResponseError> {
    completion.push(data).map_err(|broken| match broken {
        CompletionError::Format => ResponseError::Invalid(ResponseFlaw::Format),
        CompletionError::Truncated => ResponseError::Invalid(ResponseFlaw::Truncated),
        CompletionError::Status { status } => ResponseError::Status { status, data: data.to_owned() },
    })
}

struct ResponseBody {
    response: Response,
    bytes_left: usize,
    deadline: Instant,
}

impl ResponseBody {
    /// Returns the next bytes, or `None` at the end. Fails beyond the limits of time and bytes.
    async fn next(&mut self, completion: &ChatCompletion) -> Result<Option<Bytes>, ResponseError> {
        let timeout = match (completion.end(), completion.has_text()) {
            (Some(_), _) => Some(DRAIN_TIMEOUT),
            (None, true) => Some(CHUNK_TIMEOUT),
            // The request may be waiting in a queue of the server.
            (None, false) => None,
        };
        let chunk_deadline = timeout.map_or(self.deadline, |timeout| self.deadline.min(Instant::now() + timeout));
        let bytes = match timeout_at(chunk_deadline, self.response.chunk()).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(_)) => return Err(ResponseError::Invalid(ResponseFlaw::Truncated)),
            Err(_) if !completion.has_text() => return Err(ResponseError::Silent),
            Err(_) if chunk_deadline < self.deadline => {
                return Err(ResponseError::Invalid(ResponseFlaw::Truncated));
            }
            Err(_) => return Err(ResponseError::Invalid(ResponseFlaw::TimedOut)),
        };
        let length = bytes.as_ref().map_or(0, Bytes::len);
        self.bytes_left = self.bytes_left.checked_sub(length).ok_or(ResponseError::Invalid(ResponseFlaw::TooLarge))?;
        Ok(bytes)
    }
}
