//! `Idempotency-Key`: a request that is sent again makes nothing again. What is known of a key is in `ticket`.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};
use quire_tasks::{Tenant, to_hex};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::problem::Problem;

/// The header of a request, as draft-ietf-httpapi-idempotency-key-header has it.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// On an answer to a request that was sent again.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const MAX_KEY_LENGTH: usize = 255;

/// A request's key, as the name of its note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) String);

impl Key {
    /// The key of a request with these headers, where it has one.
    pub(crate) fn of(tenant: &Tenant, headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(KEY).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let key = value.to_str().ok().map(unquoted).filter(|key| plain(key) && values.next().is_none());
        key.map(|key| Some(Self::new(tenant, key))).ok_or_else(|| Problem::malformed_idempotency_key(MAX_KEY_LENGTH))
    }

    fn new(tenant: &Tenant, key: &str) -> Self {
        let digest =
            to_hex(&Sha256::new().chain_update(tenant.as_str()).chain_update([0]).chain_update(key).finalize());
        Self(format!("{}/{digest}", &digest[..2]))
    }
}

/// The draft has a string in quotation marks; most clients send it without them.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}

fn plain(key: &str) -> bool {
    (1..=MAX_KEY_LENGTH).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What a request asks for: the same for the same request only. Not its bytes as they came: a form's boundary is another
/// one each time.
pub(crate) fn fingerprint<'a>(
    path: &str,
    fields: &Map<String, Value>,
    files: impl IntoIterator<Item = (Option<&'a str>, &'a [u8; 32])>,
) -> String {
    let mut hash = Sha256::new();
    // Each with its length, so that no two requests read the same.
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

/// Says that an answer is one to a request that was sent again.
pub(crate) fn replayed(answer: Result<Response, Problem>) -> Response {
    let mut response = answer.unwrap_or_else(Problem::into_response);
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(values: &[&str]) -> Result<Option<Key>, &'static str> {
        let headers = values.iter().map(|value| (KEY, value.parse().expect("a header's value")));
        Key::of(&Tenant::default(), &headers.collect()).map_err(|problem| problem.code())
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
    fn the_same_key_of_another_tenant_is_another() {
        let acme = "acme".parse().expect("a tenant");
        assert_ne!(Key::new(&acme, "a"), Key::new(&Tenant::default(), "a"));
        let Key(name) = Key::new(&acme, "a");
        assert!(name.len() == 67 && name.as_bytes()[2] == b'/' && name.starts_with(&name[3..5]), "{name}");
    }

    #[test]
    fn a_fingerprint_tells_one_request_from_another() {
        let of = |path: &str, fields: Value, files: &[(Option<&str>, [u8; 32])]| {
            let fields = fields.as_object().expect("an object").clone();
            fingerprint(path, &fields, files.iter().map(|(name, digest)| (*name, digest)))
        };
        let (fields, file) = (json!({"a": "1", "b": ["2"]}), (Some("a.png"), [7; 32]));
        let first = of("/ocr", fields.clone(), &[file]);
        assert_eq!(of("/ocr", json!({"b": ["2"], "a": "1"}), &[file]), first);
        for other in [
            of("/ocr/batch", fields.clone(), &[file]),
            of("/ocr", json!({"a": "1", "b": ["3"]}), &[file]),
            of("/ocr", json!({"a": 1, "b": ["2"]}), &[file]),
            of("/ocr", json!({"a": "1"}), &[file]),
            of("/ocr", fields.clone(), &[file, file]),
            of("/ocr", fields.clone(), &[(None, [7; 32])]),
            of("/ocr", fields.clone(), &[(Some("null"), [7; 32])]),
            of("/ocr", fields, &[(Some("a.png"), [8; 32])]),
        ] {
            assert_ne!(other, first);
        }
    }
}
