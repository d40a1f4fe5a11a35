//! A response's body, read to its end within bounds.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Response, header::CONTENT_TYPE};
use tokio::time::{Instant, timeout_at};

use crate::{
    Flaw,
    answer::{Answer, Broken},
    sse::Events,
};

/// A token's chunk in an event stream, with its names and how probable it was, takes some 400 bytes.
const BYTES_A_TOKEN: usize = 2 * 1024;
const BYTES_BESIDE: usize = 64 * 1024;
/// An answer that has begun goes on by the token, even where a server reads many pages at once.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// What comes behind an answer's end is waited for only to keep the connection.
const LINGER: Duration = Duration::from_secs(1);

/// Why an answer was not read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Nothing came of it.
    Silent,
    /// It cannot be used.
    Flaw(Flaw),
    /// The server says so, with this status.
    Error { status: u16, data: String },
}

/// How much is read of an answer of so many tokens.
pub(crate) const fn most_bytes(tokens: u32) -> usize {
    BYTES_BESIDE + BYTES_A_TOKEN * tokens as usize
}

/// Reads an answer, streamed or whole. One that goes round in circles is left where it is, which hangs up.
pub(crate) async fn read(response: Response, most_bytes: usize, deadline: Instant) -> Result<Answer, Stopped> {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let mut body = Body { response, left: most_bytes, deadline };
    match kind.as_str() {
        "text/event-stream" => streamed(&mut body).await,
        "application/json" => whole(&mut body).await,
        _ => Err(Stopped::Flaw(Flaw::Kind)),
    }
}

async fn streamed(body: &mut Body) -> Result<Answer, Stopped> {
    let (mut events, mut answer) = (Events::default(), Answer::default());
    while answer.end() != Some(quire_ocr::StopReason::Repetition) {
        let bytes = match body.next(&answer).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => break,
            // Whatever happens behind its end is not the answer's.
            Err(_) if answer.end().is_some() => return Ok(answer),
            Err(stopped) => return Err(stopped),
        };
        for data in events.push(&bytes) {
            take(&mut answer, &data)?;
        }
    }
    if answer.end().is_none()
        && let Some(data) = events.finish()
    {
        // What the last event lacks is more than its empty line, unless it can be read.
        take(&mut answer, &data).map_err(|stopped| match stopped {
            Stopped::Flaw(Flaw::Form) => Stopped::Flaw(Flaw::CutShort),
            other => other,
        })?;
    }
    if answer.end().is_none() { Err(Stopped::Flaw(Flaw::CutShort)) } else { Ok(answer) }
}

/// Some servers do not stream, whatever they are asked.
async fn whole(body: &mut Body) -> Result<Answer, Stopped> {
    let (mut answer, mut json) = (Answer::default(), Vec::new());
    while let Some(bytes) = body.next(&answer).await? {
        json.extend_from_slice(&bytes);
    }
    let json = String::from_utf8(json).map_err(|_| Stopped::Flaw(Flaw::Form))?;
    take(&mut answer, &json)?;
    answer.done();
    if answer.end().is_none() { Err(Stopped::Flaw(Flaw::Form)) } else { Ok(answer) }
}

fn take(answer: &mut Answer, data: &str) -> Result<(), Stopped> {
    answer.push(data).map_err(|broken| match broken {
        Broken::Form => Stopped::Flaw(Flaw::Form),
        Broken::CutShort => Stopped::Flaw(Flaw::CutShort),
        Broken::Error { status } => Stopped::Error { status, data: data.to_owned() },
    })
}

struct Body {
    response: Response,
    left: usize,
    deadline: Instant,
}

impl Body {
    /// The next bytes, as long as there is time and room for them.
    async fn next(&mut self, answer: &Answer) -> Result<Option<Bytes>, Stopped> {
        let patience = match (answer.end(), answer.has_text()) {
            (Some(_), _) => Some(LINGER),
            (None, true) => Some(SILENCE_LIMIT),
            // It may stand in the server's own queue.
            (None, false) => None,
        };
        let silence = patience.map_or(self.deadline, |patience| self.deadline.min(Instant::now() + patience));
        let bytes = match timeout_at(silence, self.response.chunk()).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(_)) => return Err(Stopped::Flaw(Flaw::CutShort)),
            Err(_) if !answer.has_text() => return Err(Stopped::Silent),
            Err(_) if silence < self.deadline => return Err(Stopped::Flaw(Flaw::CutShort)),
            Err(_) => return Err(Stopped::Flaw(Flaw::TooSlow)),
        };
        let length = bytes.as_ref().map_or(0, Bytes::len);
        self.left = self.left.checked_sub(length).ok_or(Stopped::Flaw(Flaw::Endless))?;
        Ok(bytes)
    }
}
