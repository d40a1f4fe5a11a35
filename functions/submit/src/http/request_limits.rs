//! The limits of a request's target and headers. They are lower than those of the HTTP servers in front, so that the
//! client gets a problem that says what is wrong.

use axum::http::{HeaderMap, Uri};

use crate::http::problem::Problem;

/// The maximum length of the path and the query: that of a URL in the API.
const MAX_TARGET_BYTES: usize = 8 << 10;
/// The maximum size of all headers, with their names. Browsers send up to 16 KiB of cookies.
const MAX_HEADER_BYTES: usize = 32 << 10;

/// Returns why a request is refused, if it is.
pub(crate) fn check_size(uri: &Uri, headers: &HeaderMap) -> Option<Problem> {
    let target_bytes = uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target_bytes > MAX_TARGET_BYTES {
        return Some(Problem::uri_too_long(MAX_TARGET_BYTES));
    }
    let header_bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    (header_bytes > MAX_HEADER_BYTES).then(|| Problem::headers_too_large("The headers", MAX_HEADER_BYTES))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};

    use super::*;

    fn code(target: usize, cookie: usize) -> Option<&'static str> {
        let uri = format!("/{}", "a".repeat(target)).parse().expect("a URI");
        let cookie = HeaderValue::from_str(&"a".repeat(cookie)).expect("visible ASCII");
        check_size(&uri, &HeaderMap::from_iter([(header::COOKIE, cookie)])).map(|problem| problem.code().as_str())
    }

    #[test]
    fn a_long_target_and_large_headers_are_refused() {
        assert_eq!(code(8191, 32_000), None);
        assert_eq!(code(8192, 0), Some("uri_too_long"));
        assert_eq!(code(0, 33_000), Some("headers_too_large"));
    }
}
