//! Answers that fit into what Lambda carries.
//!
//! A long document's text is larger than the 6 MB that a function may answer. As JSON that repeats itself it is a tenth
//! of that when compressed, which nearly every client takes when it is offered; the others are told to.

use std::io::Write;

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use flate2::{Compression, write::GzEncoder};

use crate::http::problem::Problem;

/// The most bytes of text: they travel as a JSON string, whose escaped quotation marks take up to a third.
const MOST_PLAIN: usize = 4 << 20;
/// The most compressed bytes: they travel in base64, which takes a third, beside the headers.
const MOST_COMPRESSED: usize = 4_300_000;

/// Whether a client of these headers takes what is compressed.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
        // A weight of zero is a refusal.
        named && parts.all(|part| part.strip_prefix("q=").and_then(|q| q.parse().ok()).is_none_or(|q: f32| q > 0.0))
    })
}

/// The response as it is, where it is small enough; otherwise compressed, or a problem that says what to do.
pub(crate) async fn carried(response: Response, takes_gzip: bool) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    if body.len() <= MOST_PLAIN {
        return Response::from_parts(parts, Body::from(body));
    }
    let bytes = body.len();
    let compressed = if takes_gzip { tokio::task::spawn_blocking(move || gzip(&body)).await.ok() } else { None };
    let fit = compressed.filter(|compressed| compressed.len() <= MOST_COMPRESSED);
    parts.headers.remove(header::CONTENT_LENGTH);
    let Some(compressed) = fit else {
        let problem = Problem::answer_too_large(bytes, takes_gzip);
        let request_id = parts.headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        let body = Body::from(problem.body(request_id));
        parts.status = problem.status();
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        return Response::from_parts(parts, body);
    };
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    Response::from_parts(parts, Body::from(compressed))
}

fn gzip(body: &Bytes) -> Vec<u8> {
    // The fastest: most of the gain for a fraction of the time, and the client waits.
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.expect("memory takes everything")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(value: &str) -> bool {
        takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_str(value).expect("plain"))]))
    }

    #[test]
    fn a_client_takes_gzip_when_it_says_so_and_does_not_refuse_it() {
        for yes in ["gzip", "gzip, deflate, br", "br;q=1.0, GZIP;q=0.8", "*"] {
            assert!(takes(yes), "{yes}");
        }
        for no in ["", "identity", "br", "gzip;q=0", "*;q=0.0"] {
            assert!(!takes(no), "{no}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
