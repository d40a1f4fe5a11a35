//! Fits responses into the size limit of Lambda.
//!
//! A response payload is limited to 6 MB, and the JSON of a long document exceeds that. Compressed it is about a tenth.
//! Nearly all clients accept gzip; the others get a problem that asks for it.

use std::io::Write;

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use flate2::{Compression, write::GzEncoder};

use crate::http::problem::Problem;

/// The maximum size of an uncompressed body. It is sent as a JSON string; escaping takes up to a third.
const MAX_PLAIN: usize = 4 << 20;
/// The maximum size of a compressed body. It is sent as base64, which adds a third, together with the headers.
const MAX_COMPRESSED: usize = 4_300_000;

/// Whether the request accepts gzip.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
        // `q=0` means not acceptable (RFC 9110).
        named && parts.all(|part| part.strip_prefix("q=").and_then(|q| q.parse().ok()).is_none_or(|q: f32| q > 0.0))
    })
}

/// Returns the response unchanged if it is small enough, or else compressed. Problem: `answer_too_large`.
pub(crate) async fn fit_response(response: Response, takes_gzip: bool) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    if body.len() <= MAX_PLAIN {
        return Response::from_parts(parts, Body::from(body));
    }
    let bytes = body.len();
    let compressed = if takes_gzip { tokio::task::spawn_blocking(move || gzip(&body)).await.ok() } else { None };
    parts.headers.remove(header::CONTENT_LENGTH);
    let Some(compressed) = compressed.filter(|compressed| compressed.len() <= MAX_COMPRESSED) else {
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
    // The fastest level: most of the compression for a fraction of the time, while the client waits.
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    let compressed = encoder.write_all(body).and_then(|()| encoder.finish());
    compressed.expect("writing to memory does not fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(value: &str) -> bool {
        takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_str(value).expect("plain"))]))
    }

    #[test]
    fn gzip_is_accepted_unless_its_weight_is_zero() {
        for yes in ["gzip", "gzip, deflate, br", "br;q=1.0, GZIP;q=0.8", "*"] {
            assert!(takes(yes), "{yes}");
        }
        for no in ["", "identity", "br", "gzip;q=0", "*;q=0.0"] {
            assert!(!takes(no), "{no}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
