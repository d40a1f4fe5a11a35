//! Handmade multipart forms, so that tests can make invalid ones.

use serde_json::Value;

const BOUNDARY: &str = "quire-test-boundary";

/// A part of a form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FormPart<'a> {
    pub(crate) field: &'a str,
    pub(crate) file: Option<&'a str>,
    pub(crate) content: &'a str,
}

pub(crate) const fn image(content: &str) -> FormPart<'_> {
    image_named("scan.png", content)
}

pub(crate) const fn image_named<'a>(file: &'a str, content: &'a str) -> FormPart<'a> {
    FormPart { field: "image", file: Some(file), content }
}

pub(crate) fn images<'a>(contents: &[&'a str]) -> Vec<FormPart<'a>> {
    contents.iter().map(|content| FormPart { field: "images", ..image(content) }).collect()
}

/// Returns the content type of [`body`].
pub(crate) fn boundary() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

pub(crate) fn body(parts: &[FormPart<'_>]) -> String {
    let part = |part: &FormPart<'_>| {
        let file = part.file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        let (field, content) = (part.field, part.content);
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"{file}\r\n\r\n{content}\r\n")
    };
    parts.iter().map(part).collect::<String>() + &format!("--{BOUNDARY}--\r\n")
}

/// A response that was read completely.
#[derive(Debug)]
pub(crate) struct TestResponse {
    pub(crate) status: u16,
    pub(crate) text: String,
    headers: reqwest::header::HeaderMap,
}

impl TestResponse {
    pub(crate) async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.expect("a body") }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("plain headers"))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Asserts that this is a problem with this status and code, as every problem must be, and returns it.
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], "about:blank");
        assert!(problem["title"].is_string() && problem["detail"].is_string() && problem["retryable"].is_boolean());
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"));
        problem
    }
}
