//! POST requests.

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
    client::{host_of, post_error},
};

/// The most bytes of a response that are read. Typical responses are shorter, so that the receiver does not see a
/// closed connection.
const MAX_RESPONSE_BYTES: usize = 20 * 1024;
/// The most bytes of a response that are returned.
const MAX_EXCERPT_BYTES: usize = 1024;

/// The response to a POST request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostResponse {
    /// The HTTP status. Redirects are not followed.
    pub status: u16,
    /// The wait that the `Retry-After` header asks for.
    pub retry_after: Option<Duration>,
    /// The beginning of the body, at most 1 kB. Invalid UTF-8 is replaced by U+FFFD.
    pub excerpt: String,
}

impl Client {
    /// Sends a POST request. Once the status is received, an incomplete response body is not an error.
    ///
    /// # Errors
    /// Fails with [`PostError`], whose variants state whether to retry.
    pub async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> Result<PostResponse, PostError> {
        self.validate(url)?;
        let deadline = Instant::now() + timeout;
        let request = self.http.post(url.clone()).headers(headers).body(body).send();
        let mut response = timeout_at(deadline, request)
            .await
            .map_err(|_| PostError::TimedOut { host: host_of(url) })?
            .map_err(|error| post_error(url, &error))?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers(), SystemTime::now());
        let mut excerpt = Vec::with_capacity(MAX_EXCERPT_BYTES);
        // After the timeout, the excerpt is what was read so far.
        let _ = timeout_at(deadline, read_beginning(&mut response, &mut excerpt)).await;
        Ok(PostResponse { status, retry_after, excerpt: lossy(&excerpt) })
    }
}

async fn read_beginning(response: &mut Response, excerpt: &mut Vec<u8>) {
    let mut read = 0;
    while read < MAX_RESPONSE_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        read += chunk.len();
        let capacity = MAX_EXCERPT_BYTES - excerpt.len();
        excerpt.extend_from_slice(&chunk[..chunk.len().min(capacity)]);
    }
}

/// Converts to UTF-8 of at most [`MAX_EXCERPT_BYTES`], because replacement characters are longer than the invalid
/// bytes.
fn lossy(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    text.truncate(text.floor_char_boundary(MAX_EXCERPT_BYTES));
    text
}

/// Parses the `Retry-After` header (RFC 9110, section 10.2.3), which is a number of seconds or a date. A date in the
/// past is a wait of 0.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use quire_egress::{HeaderMap, HeaderValue, retry_after};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("retry-after", HeaderValue::from_static("7"));
/// assert_eq!(retry_after(&headers, SystemTime::now()), Some(Duration::from_secs(7)));
/// ```
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
    async fn at_most_20_kb_of_an_endless_response_are_read() {
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
        assert_eq!(excerpt, [b'x'; MAX_EXCERPT_BYTES]);
        assert!(pulled.load(Ordering::Relaxed) <= MAX_RESPONSE_BYTES + CHUNK);
    }

    #[test]
    fn an_excerpt_is_at_most_1_kb_long() {
        assert_eq!(lossy("né".as_bytes()), "né");
        assert_eq!(lossy(&[0xff; MAX_EXCERPT_BYTES]).len(), MAX_EXCERPT_BYTES - 1);
    }

    #[test]
    fn both_forms_of_retry_after_are_parsed() {
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
