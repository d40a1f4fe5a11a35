//! POST, and a little of the answer.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{
    Response,
    header::{HeaderMap, RETRY_AFTER},
};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::{
    Client, PostError,
    client::{explain, host_of},
};

/// How much of an answer is read: enough for any honest one to end, so that its sender sees no broken connection.
const MAX_ANSWER: usize = 20 * 1024;
/// How much of it is kept for people to look at.
const MAX_EXCERPT: usize = 1024;

/// What a receiver said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status; redirects are not followed.
    pub status: u16,
    /// When it wants to be asked again, from now.
    pub retry_after: Option<Duration>,
    /// The beginning of its body, at most 1 kB, with replacement characters for what is no UTF-8.
    pub excerpt: String,
}

impl Client {
    /// Posts `body`. The status is the answer: a body that breaks off or does not end in time changes nothing.
    ///
    /// # Errors
    /// [`PostError`], by what to do next.
    pub async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
        within: Duration,
    ) -> Result<Answer, PostError> {
        self.admit(url)?;
        let deadline = Instant::now() + within;
        let request = self.http.post(url.clone()).headers(headers).body(body).send();
        let mut response = timeout_at(deadline, request)
            .await
            .map_err(|_| PostError::TimedOut { host: host_of(url) })?
            .map_err(|error| explain(url, &error))?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers(), SystemTime::now());
        let mut excerpt = Vec::with_capacity(MAX_EXCERPT);
        // Out of time: what has been read until then is the excerpt.
        let _ = timeout_at(deadline, read_beginning(&mut response, &mut excerpt)).await;
        Ok(Answer { status, retry_after, excerpt: lossy(&excerpt) })
    }
}

async fn read_beginning(response: &mut Response, excerpt: &mut Vec<u8>) {
    let mut read = 0;
    while read < MAX_ANSWER
        && let Ok(Some(chunk)) = response.chunk().await
    {
        read += chunk.len();
        let room = MAX_EXCERPT - excerpt.len();
        excerpt.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
}

/// UTF-8 of at most [`MAX_EXCERPT`] bytes: a replacement character is longer than the byte that it stands for.
fn lossy(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    text.truncate(text.floor_char_boundary(MAX_EXCERPT));
    text
}

/// When an answer's headers ask to be asked again: `Retry-After` in either of its forms, seconds or a date.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    let wait = date.duration_since(Timestamp::try_from(now).ok()?);
    Some(Duration::try_from(wait).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::http;
    use futures_util::stream;
    use reqwest::{Body, header::HeaderValue};

    use super::*;

    #[tokio::test]
    async fn of_an_endless_answer_no_more_than_20_kb_are_read() {
        const CHUNK: usize = 1000;
        let pulled = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&pulled);
        let endless = stream::repeat_with(move || {
            count.fetch_add(CHUNK, Ordering::Relaxed);
            Ok::<_, std::io::Error>(vec![b'x'; CHUNK])
        });
        let mut response = Response::from(http::Response::new(Body::wrap_stream(endless)));
        let mut excerpt = Vec::new();
        read_beginning(&mut response, &mut excerpt).await;
        assert_eq!(excerpt, [b'x'; MAX_EXCERPT]);
        assert!(pulled.load(Ordering::Relaxed) <= MAX_ANSWER + CHUNK);
    }

    #[test]
    fn an_excerpt_is_never_longer_than_1_kb() {
        assert_eq!(lossy("né".as_bytes()), "né");
        assert_eq!(lossy(&[0xff; MAX_EXCERPT]).len(), MAX_EXCERPT - 1);
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let wait = |value| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
