//! An HTTP client of the API. Its methods panic on transport errors, except the `try_` ones.

use std::time::Duration;

use reqwest::{
    Client, RequestBuilder,
    header::{self, HeaderMap},
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::TIMEOUT;

/// A client of one server.
#[derive(Debug, Clone)]
pub(crate) struct ApiClient {
    pub(crate) base: String,
    http: Client,
}

/// A file to upload.
#[derive(Debug, Clone)]
pub(crate) struct UploadFile {
    name: String,
    content_type: &'static str,
    bytes: Vec<u8>,
}

impl UploadFile {
    pub(crate) fn new(name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.to_owned(), content_type: "application/octet-stream", bytes: bytes.into() }
    }

    pub(crate) fn with_content_type(self, content_type: &'static str) -> Self {
        Self { content_type, ..self }
    }

    fn part(self) -> Part {
        let part = Part::bytes(self.bytes).file_name(self.name);
        part.mime_str(self.content_type).expect("the content type is valid")
    }
}

/// An HTTP response with a JSON body; `Null` for an empty one.
#[derive(Debug, Clone)]
pub(crate) struct ApiResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl ApiResponse {
    /// Returns the body. Panics unless the response has this status.
    pub(crate) fn expect_status(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:#?}");
        self.body
    }

    /// Returns the `task_id` of a `202 Accepted` response.
    pub(crate) fn accepted_task_id(self) -> String {
        let body = self.expect_status(202);
        body["task_id"].as_str().unwrap_or_else(|| panic!("no task_id in {body}")).to_owned()
    }

    /// Returns the `code` of a problem (RFC 9457). Panics unless the response is a complete problem with this status.
    pub(crate) fn problem_code(self, status: u16) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:#?}");
        let body = self.expect_status(status);
        assert_eq!(body["status"], status, "{body}");
        assert!(body["detail"].is_string() && body["retryable"].is_boolean(), "{body}");
        body["code"].as_str().unwrap_or_else(|| panic!("no code in {body}")).to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl ApiClient {
    pub(crate) fn new(base: String) -> Self {
        // Fails if the process already has a default provider, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { base, http: client(HeaderMap::new()) }
    }

    /// Authenticates with this API key.
    pub(crate) fn with_key(self, key: &str) -> Self {
        let value = format!("Bearer {key}").parse().expect("a key is ASCII");
        Self { http: client(HeaderMap::from_iter([(header::AUTHORIZATION, value)])), ..self }
    }

    pub(crate) async fn try_get(&self, path: &str) -> reqwest::Result<ApiResponse> {
        send(self.http.get(self.url(path))).await
    }

    pub(crate) async fn get(&self, path: &str) -> ApiResponse {
        self.try_get(path).await.unwrap_or_else(|error| panic!("GET {path}: {error:?}"))
    }

    pub(crate) async fn ocr(&self, file: UploadFile) -> ApiResponse {
        self.ocr_in_field("image", file).await
    }

    pub(crate) async fn batch(&self, files: impl IntoIterator<Item = UploadFile>) -> ApiResponse {
        self.post("/ocr/batch", form(files)).await
    }

    /// `POST /ocr` with the file in a field of this name.
    pub(crate) async fn ocr_in_field(&self, field: &'static str, file: UploadFile) -> ApiResponse {
        self.post("/ocr", Form::new().part(field, file.part())).await
    }

    pub(crate) async fn try_submit(
        &self,
        files: impl IntoIterator<Item = UploadFile>,
        callback_url: &str,
    ) -> reqwest::Result<ApiResponse> {
        let form = form(files).text("callback_url", callback_url.to_owned());
        send(self.http.post(self.url("/ocr/async")).multipart(form)).await
    }

    pub(crate) async fn submit(&self, files: impl IntoIterator<Item = UploadFile>, callback_url: &str) -> ApiResponse {
        self.try_submit(files, callback_url).await.expect("POST /ocr/async gets a response")
    }

    pub(crate) async fn submit_without_callback(&self, files: impl IntoIterator<Item = UploadFile>) -> ApiResponse {
        self.post("/ocr/async", form(files)).await
    }

    /// Posts a multipart form with files and other fields.
    pub(crate) async fn post_form(
        &self,
        path: &str,
        files: impl IntoIterator<Item = UploadFile>,
        fields: &[(&str, &str)],
    ) -> ApiResponse {
        let name = if path == "/ocr" { "image" } else { "images" };
        let mut form = files.into_iter().fold(Form::new(), |form, file| form.part(name, file.part()));
        for (name, value) in fields {
            form = form.text((*name).to_owned(), (*value).to_owned());
        }
        self.post(path, form).await
    }

    pub(crate) async fn submit_url(&self, image_url: &str, callback_url: Option<&str>) -> ApiResponse {
        self.post_json("/ocr/async", &json!({ "image_url": image_url, "callback_url": callback_url })).await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> ApiResponse {
        let response = send(self.http.post(self.url(path)).json(body)).await;
        response.unwrap_or_else(|error| panic!("POST {path}: {error:?}"))
    }

    /// Returns the current state of the task.
    pub(crate) async fn task(&self, id: &str) -> Value {
        self.get(&format!("/task/{id}")).await.expect_status(200)
    }

    /// Long-polls the task with `If-None-Match`: status 304 when it has not changed within 10 s.
    pub(crate) async fn task_if_changed(&self, id: &str, etag: &str) -> ApiResponse {
        let request = self.http.get(self.url(&format!("/task/{id}?wait=10")));
        send(request.header("If-None-Match", etag)).await.expect("GET /task gets a response")
    }

    /// Waits until the task has a terminal status.
    pub(crate) async fn await_end(&self, id: &str) -> Value {
        self.poll_task(id, "ends", |task| !["queued", "processing"].contains(&task["status"].as_str().unwrap_or("")))
            .await
    }

    /// Waits until the task's callback is in this state.
    pub(crate) async fn await_callback(&self, id: &str, state: &str) -> Value {
        self.poll_task(id, &format!("has a callback that is {state}"), |task| task["callback"]["state"] == state).await
    }

    async fn poll_task(&self, id: &str, condition: &str, is_met: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let task = self.get(&format!("/task/{id}?wait=1")).await.expect_status(200);
            if is_met(&task) {
                return task;
            }
            assert!(
                begun.elapsed() < TIMEOUT,
                "timeout after {TIMEOUT:?} waiting until the task {condition}: {task:#}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn post(&self, path: &str, form: Form) -> ApiResponse {
        let response = send(self.http.post(self.url(path)).multipart(form)).await;
        response.unwrap_or_else(|error| panic!("POST {path}: {error:?}"))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

fn client(headers: HeaderMap) -> Client {
    // No connection pool: a pooled connection to a killed server would fail the next request.
    let http = Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(TIMEOUT).default_headers(headers);
    http.build().expect("the client can be built")
}

fn form(files: impl IntoIterator<Item = UploadFile>) -> Form {
    files.into_iter().fold(Form::new(), |form, file| form.part("images", file.part()))
}

async fn send(request: RequestBuilder) -> reqwest::Result<ApiResponse> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let bytes = response.bytes().await?;
    let body = match &bytes[..] {
        [] => Value::Null,
        bytes => serde_json::from_slice(bytes).unwrap_or_else(|error| {
            panic!("{status} with a body that is not JSON ({error}): {}", String::from_utf8_lossy(bytes))
        }),
    };
    Ok(ApiResponse { status, headers, body })
}

/// Returns the `text` member of a page, document or response.
pub(crate) fn text_of(value: &Value) -> &str {
    value["text"].as_str().unwrap_or_else(|| panic!("no text in {value:#}"))
}
