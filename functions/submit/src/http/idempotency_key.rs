//! The `Idempotency-Key` header. The records of known keys are in [`crate::tasks::idempotency`].

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};
use quire_tasks::{Tenant, to_hex};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{http::problem::Problem, limits::MAX_IDEMPOTENCY_KEY_LENGTH};

/// The request header of draft-ietf-httpapi-idempotency-key-header.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The response header of a replayed request.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The key of a request, as the key of its idempotency record: a digest of the tenant and the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(pub(crate) String);

impl IdempotencyKey {
    /// Parses the header. Error: `malformed_idempotency_key`, also for several headers.
    pub(crate) fn from_headers(tenant: &Tenant, headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(KEY).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let key = value.to_str().ok().map(unquoted).filter(|key| is_valid(key) && values.next().is_none());
        key.map(|key| Some(Self::new(tenant, key)))
            .ok_or_else(|| Problem::malformed_idempotency_key(MAX_IDEMPOTENCY_KEY_LENGTH))
    }

    fn new(tenant: &Tenant, key: &str) -> Self {
        let digest =
            to_hex(&Sha256::new().chain_update(tenant.as_str()).chain_update([0]).chain_update(key).finalize());
        Self(format!("{}/{digest}", &digest[..2]))
    }
}

/// Removes optional quotation marks: the draft requires them, and most clients omit them.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}

fn is_valid(key: &str) -> bool {
    (1..=MAX_IDEMPOTENCY_KEY_LENGTH).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns the fingerprint of a request: equal for equal requests only. It hashes the parsed fields and not the raw
/// body, because the boundary of a form differs each time.
pub(crate) fn fingerprint<'a>(
    path: &str,
    fields: &Map<String, Value>,
    files: impl IntoIterator<Item = (Option<&'a str>, &'a [u8; 32])>,
) -> String {
    let mut hash = Sha256::new();
    // Each part is prefixed with its length, so that different requests never hash the same bytes.
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    add(b"POST");
    add(path.as_bytes());
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    for (name, value) in sorted {
        add(name.as_bytes());
        add(value.to_string().as_bytes());
    }
    for (name, digest) in files {
        add(b"a file");
        add(name.map_or("null".to_owned(), |name| Value::from(name).to_string()).as_bytes());
        add(digest);
    }
    to_hex(&hash.finalize())
}

/// Marks a response as the replay of an earlier request's.
pub(crate) fn mark_replayed(answer: Result<Response, Problem>) -> Response {
    let mut response = answer.unwrap_or_else(Problem::into_response);
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(values: &[&str]) -> Result<Option<IdempotencyKey>, &'static str> {
        let headers = values.iter().map(|value| (KEY, value.parse().expect("a header's value")));
        IdempotencyKey::from_headers(&Tenant::default(), &headers.collect()).map_err(|problem| problem.code().as_str())
    }

    #[test]
    fn a_key_is_visible_ascii_with_or_without_quotation_marks() {
        let bare = key(&["8e03978e-40d5"]);
        assert!(matches!(bare, Ok(Some(_))));
        assert_eq!(key(&["\"8e03978e-40d5\""]), bare);
        assert_ne!(key(&["8e03978e-40d6"]), bare);
        assert_eq!(key(&[]), Ok(None));
        for wrong in [&[""][..], &["\"\""], &["a b"], &["é"], &[&"x".repeat(256)], &["a", "a"]] {
            assert_eq!(key(wrong), Err("malformed_idempotency_key"), "{wrong:?}");
        }
        assert!(key(&[&"x".repeat(255)]).is_ok());
    }

    #[test]
    fn tenants_do_not_share_keys() {
        let acme = "acme".parse().expect("a tenant");
        assert_ne!(IdempotencyKey::new(&acme, "a"), IdempotencyKey::new(&Tenant::default(), "a"));
        let IdempotencyKey(name) = IdempotencyKey::new(&acme, "a");
        assert!(name.len() == 67 && name.as_bytes()[2] == b'/' && name.starts_with(&name[3..5]), "{name}");
    }

    #[test]
    fn different_requests_have_different_fingerprints() {
        let fingerprint_of = |path: &str, fields: Value, files: &[(Option<&str>, [u8; 32])]| {
            let fields = fields.as_object().expect("an object").clone();
            fingerprint(path, &fields, files.iter().map(|(name, digest)| (*name, digest)))
        };
        let (fields, file) = (json!({"a": "1", "b": ["2"]}), (Some("a.png"), [7; 32]));
        let first = fingerprint_of("/ocr", fields.clone(), &[file]);
        assert_eq!(fingerprint_of("/ocr", json!({"b": ["2"], "a": "1"}), &[file]), first);
        for other in [
            fingerprint_of("/ocr/batch", fields.clone(), &[file]),
            fingerprint_of("/ocr", json!({"a": "1", "b": ["3"]}), &[file]),
            fingerprint_of("/ocr", json!({"a": 1, "b": ["2"]}), &[file]),
            fingerprint_of("/ocr", json!({"a": "1"}), &[file]),
            fingerprint_of("/ocr", fields.clone(), &[file, file]),
            fingerprint_of("/ocr", fields.clone(), &[(None, [7; 32])]),
            fingerprint_of("/ocr", fields.clone(), &[(Some("null"), [7; 32])]),
            fingerprint_of("/ocr", fields, &[(Some("a.png"), [8; 32])]),
        ] {
            assert_ne!(other, first);
        }
    }
}
